//! How long a permit lives: exactly until its answer has left, or its caller has.

use std::sync::Arc;

use http::Method;
use tidegate_ingress::IngressConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::client::{Server, binary_answer_request, infer_body, infer_head, infer_request};
use crate::mock::Behaviour;

#[tokio::test]
async fn a_permit_is_held_until_the_answer_was_read() {
    let models = [("big", Behaviour::Rows(2_000_000)), ("m", Behaviour::Echo)];
    let server = Server::start(IngressConfig::default(), &models).await;
    let mut stream = server.connect().await;
    let request =
        binary_answer_request("big").replace("host: test", "host: test\r\nconnection: close");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 100];
    stream.read_exact(&mut start).await.unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200 "));
    // A whole other request passes meanwhile, so the server has had every chance to let go.
    assert_eq!(server.post("/v2/models/m/infer", infer_body(1)).await.status, 200);
    let counts = server.mock.until(|counts| counts.held <= 1).await;
    assert_eq!((counts.responded, counts.held), (2, 1));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() > 8_000_000);
    server.mock.until(|counts| counts.held == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_while_waiting_is_gone() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::start(IngressConfig::default(), &[("m", Behaviour::Gate(gate))]).await;
    let mut stream = server.connect().await;
    stream.write_all(infer_request("m").as_bytes()).await.unwrap();
    server.mock.until(|counts| counts.running == 1).await;
    drop(stream);
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.gone, counts.responded, counts.errored), (1, 0, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_in_its_body_is_gone() {
    let server = Server::echo().await;
    let mut stream = server.connect().await;
    let head = format!("{}content-length: 100\r\n\r\n{{", infer_head("m"));
    stream.write_all(head.as_bytes()).await.unwrap();
    server.mock.until(|counts| counts.admitted == 1).await;
    drop(stream);
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.gone, counts.errored), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn requests_that_share_a_connection_are_each_counted_once() {
    let server = Server::echo().await;
    let mut caller = server.caller().await;
    for _ in 0..20 {
        let answer = caller.send(Method::POST, "/v2/models/m/infer", &[], infer_body(1)).await;
        assert_eq!(answer.status, 200);
    }
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.admitted, counts.responded), (20, 20));
    server.stop().await;
}
