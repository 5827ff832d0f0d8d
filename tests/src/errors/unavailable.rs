//! 503: loading, failed, without a version that takes traffic, draining, too many connections.

use std::time::Duration;

use tidegate_gateway::Config;
use tokio::io::AsyncReadExt;

use super::{Busy, INFER, ROW, assert_invites_another_try, assert_says};
use crate::house::{Engines, House, count, until_held};
use crate::wire::v2_json;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_loading_is_503() {
    let engines = Engines::new();
    engines.blue.hold();
    let house = House::starting(&engines).await;
    until_held(&engines.blue, 1).await;
    house.client.get(&house.admin("/livez")).await.expect(200);
    house.client.get(&house.admin("/readyz")).await.expect(503);
    house.client.get(&house.data("/v2/health/ready")).await.expect(503);
    for path in [INFER, "/v2/models/m/versions/1/infer"] {
        let answer = house.client.post(&house.data(path), v2_json(&[ROW])).await.expect(503);
        assert_says(&answer, &["'m'", "not at ready state"]);
        assert_invites_another_try(&answer);
    }
    engines.blue.open();
    house.until_ready().await;
    house.client.post(&house.data(INFER), v2_json(&[ROW])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_failed_to_load_is_503_with_its_reason_and_the_others_serve() {
    let engines = Engines::new();
    engines.green.refuse_to_load(Some("the weights of layer 3 are missing"));
    let house = House::ready(&engines).await;
    let url = house.data("/v2/models/m/versions/2/infer");
    let answer = house.client.post(&url, v2_json(&[ROW])).await.expect(503);
    assert_says(&answer, &["version 2", "the weights of layer 3 are missing"]);
    assert_invites_another_try(&answer);
    house.client.post(&house.data(INFER), v2_json(&[ROW])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_weighted_versions_are_all_gone_is_503() {
    let engines = Engines::new();
    engines.blue.refuse_to_load(Some("no"));
    let house = House::ready(&engines).await;
    let answer = house.client.post(&house.data(INFER), v2_json(&[ROW])).await.expect(503);
    assert_says(&answer, &["no ready version", "weight"]);
    assert_invites_another_try(&answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_gateway_is_503_to_probes_while_it_finishes_what_is_inside() {
    let Busy { house, engines, inside } = Busy::with(&[ROW], |_| {}).await;
    let House { mut running, client, folder: _folder, .. } = house;
    let admin = format!("http://{}", running.admin);
    let leaving = tokio::spawn(async move { (running.drain().await, running.stop().await) });
    let asked = async { while client.get(&format!("{admin}/readyz")).await.status != 503 {} };
    tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap();
    client.get(&format!("{admin}/livez")).await.expect(200);
    engines.blue.open();
    inside.await.unwrap().expect(200);
    let (answered, _) = leaving.await.unwrap();
    assert!(answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_503() {
    let limit = |config: &mut Config| config.ingress.max_connections = count(1);
    let house = House::ready_with(&Engines::new(), limit).await;
    let only = tokio::net::TcpStream::connect(house.address).await.unwrap();
    let connected = |scrape: &crate::scrape::Scrape| scrape.sum("tidegate_connections", &[]) == 1.0;
    house.until("the connection is known", connected).await;
    // It is told at once, before it has sent a word.
    let mut other = tokio::net::TcpStream::connect(house.address).await.unwrap();
    let mut told = String::new();
    other.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    assert!(told.contains("\r\nretry-after: 1\r\n"), "{told}");
    assert!(told.ends_with("{\"error\":\"too many connections\"}"), "{told}");
    drop(only);
}
