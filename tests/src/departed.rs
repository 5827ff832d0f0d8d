//! No work for the departed: a caller that hangs up while its request waits is skipped when the batch forms.

use std::io::Write;
use std::net::TcpStream;

use crate::house::{Engines, House, one_instance, until_held};
use crate::wire::{Format, v2_json};

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hung_up_while_queued_is_never_executed_and_is_counted() {
    let engines = Engines::new();
    let house = House::ready_with(&engines, one_instance).await;
    engines.blue.forget_runs();
    engines.blue.hold();
    let stays = |rows: &[[f32; 2]]| {
        let (client, request) = (house.client.clone(), Format::V2Json.request(house.address, rows));
        tokio::spawn(async move { client.send(request).await.expect(200) })
    };
    let first = stays(&[[1.0, 1.0]]);
    until_held(&engines.blue, 1).await;

    let leaves = raw_request(&house, &[[7.0, 7.0]; 3]);
    house.until_queued(1.0).await;
    let second = stays(&[[2.0, 2.0]; 2]);
    house.until_queued(2.0).await;
    drop(leaves);
    house.until("a caller gone", |scrape| scrape.ended("caller_gone") == 1.0).await;
    // Its place is free although the worker is still inside its run.
    house.until_queued(1.0).await;
    engines.blue.open();

    first.await.unwrap();
    let answer = second.await.unwrap();
    assert_eq!(Format::V2Json.rows(&answer), [[5.0, 5.0]; 2]);
    let rows: Vec<usize> = engines.blue.runs().iter().map(|run| run.shapes[0][0]).collect();
    assert_eq!(rows, [1, 2], "three rows of the departed were not run");
    let scrape = house.scrape().await;
    assert_eq!((scrape.accepted(), scrape.ended("response")), (3.0, 2.0));
    scrape.assert_balanced();
}

/// A connection of its own, which ends when it is dropped.
fn raw_request(house: &House, rows: &[[f32; 2]]) -> TcpStream {
    let body = v2_json(rows);
    let mut stream = TcpStream::connect(house.address).unwrap();
    write!(
        stream,
        "POST /v2/models/m/infer HTTP/1.1\r\nhost: m\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream
}
