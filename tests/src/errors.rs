//! Every error of ARCHITECTURE.md's table, produced over HTTP by what really causes it.
//!
//! 401 is missing on purpose: there are no keys yet, so nothing can be wrong with them.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use tidegate_gateway::Config;
use tokio::io::AsyncReadExt;

use crate::client::{Answer, Client, Outgoing, request};
use crate::house::{Engines, House, count, of_model, one_instance, until_held};
use crate::wire::{Format, Row, v2_json};

const INFER: &str = "/v2/models/m/infer";
const ROW: Row = [1.0, 2.0];

/// A house whose only worker is busy with one request, until the engine is opened again.
struct Busy {
    house: House,
    engines: Engines,
    inside: tokio::task::JoinHandle<Answer>,
}

impl Busy {
    async fn with(rows: &[Row], change: impl FnOnce(&mut Config)) -> Self {
        let engines = Engines::new();
        let house = House::ready_with(&engines, |config| {
            one_instance(config);
            change(config);
        })
        .await;
        engines.blue.hold();
        let inside = send(&house, Format::V2Json.request(house.running.data, rows));
        until_held(&engines.blue, 1).await;
        Self { house, engines, inside }
    }

    async fn post(&self, rows: &[Row]) -> Answer {
        self.house.client.post(&self.house.data(INFER), v2_json(rows)).await
    }

    /// The request that was inside all the time did not suffer.
    async fn let_go(self) {
        self.engines.blue.open();
        self.inside.await.unwrap().expect(200);
        self.house.scrape().await.assert_balanced();
    }
}

fn send(house: &House, request: Outgoing) -> tokio::task::JoinHandle<Answer> {
    let client: Client = house.client.clone();
    tokio::spawn(async move { client.send(request).await })
}

#[track_caller]
fn assert_says(answer: &Answer, parts: &[&str]) {
    let error = answer.error();
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[track_caller]
fn assert_invites_another_try(answer: &Answer) {
    let seconds: u64 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!(seconds >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_must_mend_is_400_and_names_field_expectation_and_finding() {
    let house = House::ready(&Engines::new()).await;
    let input = |name: &str, datatype: &str, shape: &[u64], data: &[u64]| {
        let input = json!({ "name": name, "datatype": datatype, "shape": shape, "data": data });
        json!({ "inputs": [input] }).to_string()
    };
    let two = [1, 2];
    for (path, body, said) in [
        (INFER, "{".to_owned(), &[][..]),
        (INFER, "[]".to_owned(), &[]),
        (INFER, input("z", "FP32", &[1, 2], &two), &["'z'"]),
        (INFER, input("x", "INT64", &[1, 2], &two), &["'x'", "FP32", "INT64"]),
        (INFER, input("x", "FP32", &[1, 3], &[1; 3]), &["'x'", "2", "3"]),
        (INFER, input("x", "FP32", &[2, 2], &two), &["'x'", "4", "2"]),
        ("/v1/models/m:predict", "{}".to_owned(), &["'inputs'", "'instances'"]),
        ("/v1/models/m:predict", r#"{"instances":[[1,2],[3]]}"#.to_owned(), &[]),
        ("/predict", r#"{"picture":[1,2]}"#.to_owned(), &["image", "instances"]),
    ] {
        let answer = house.client.post(&house.data(path), body.clone()).await;
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
        assert_says(&answer, said);
        assert!(answer.header("retry-after").is_none(), "another try does not help");
    }
    house.scrape().await.assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_foreign_page_asks_for_is_403() {
    let house = House::ready(&Engines::new()).await;
    let url = house.admin("/admin/v1/models/m/weights");
    let body = json!({ "weights": { "green": 1 } }).to_string();
    let change = Request::put(&url)
        .header("origin", "https://evil.example")
        .body(Full::new(body.into()))
        .unwrap();
    let answer = house.client.send(change).await.expect(403);
    assert_says(&answer, &["origin"]);
    let weights = house.client.get(&url).await.expect(200).json();
    assert_eq!(weights["weights"], json!({ "1": 1, "2": 0 }), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_version_or_label_is_404() {
    let house = House::ready(&Engines::new()).await;
    let tensorflow = json!({ "instances": [ROW] }).to_string();
    for (path, body, said) in [
        ("/v2/models/letters/infer", v2_json(&[ROW]), "letters"),
        ("/v2/models/m/versions/9/infer", v2_json(&[ROW]), "version 9"),
        ("/v1/models/letters:predict", tensorflow.clone(), "letters"),
        ("/v1/models/m/versions/9:predict", tensorflow.clone(), "9"),
    ] {
        let answer = house.client.post(&house.data(path), body).await.expect(404);
        assert_says(&answer, &[said]);
    }
    // On its own paths TensorFlow Serving calls an unknown label a bad request, and its contract wins there.
    let url = house.data("/v1/models/m/labels/red:predict");
    assert_says(&house.client.post(&url, tensorflow).await.expect(400), &["label", "red"]);
    let url = house.admin("/admin/v1/models/m/labels/red");
    let answer = house.client.send(request(Method::DELETE, &url, "")).await.expect(404);
    assert_says(&answer, &["red"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_its_limit_is_413() {
    let limit = |config: &mut Config| config.ingress.max_body_size = 1024;
    let house = House::ready_with(&Engines::new(), limit).await;
    let answer = house.client.post(&house.data(INFER), vec![b' '; 2048]).await.expect(413);
    assert_says(&answer, &["1024"]);
    house.client.post(&house.data(INFER), v2_json(&[ROW])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_could_ever_enter_are_413() {
    let limit = |config: &mut Config| config.limits.max_rows_in_flight = 4;
    let house = House::ready_with(&Engines::new(), limit).await;
    let answer = house.client.post(&house.data(INFER), v2_json(&[ROW; 5])).await.expect(413);
    assert_says(&answer, &["5 rows", "4"]);
    assert!(answer.header("retry-after").is_none());
    house.client.post(&house.data(INFER), v2_json(&[ROW; 4])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_429() {
    let busy = Busy::with(&[ROW], |config| of_model(config).max_queue_size = count(1)).await;
    let queued = send(&busy.house, Format::TfRow.request(busy.house.running.data, &[ROW]));
    busy.house.until_queued(1.0).await;
    let answer = busy.post(&[ROW]).await.expect(429);
    assert_says(&answer, &["'m'", "version 1", "queue size of 1"]);
    assert_invites_another_try(&answer);
    busy.let_go().await;
    queued.await.unwrap().expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_in_flight_are_429() {
    let busy = Busy::with(&[ROW], |config| config.limits.max_requests_in_flight = 1).await;
    let answer = busy.post(&[ROW]).await.expect(429);
    assert_says(&answer, &["requests are in flight", "limit of 1"]);
    assert_invites_another_try(&answer);
    busy.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rows_in_flight_are_429() {
    let busy = Busy::with(&[ROW; 3], |config| config.limits.max_rows_in_flight = 4).await;
    let answer = busy.post(&[ROW; 2]).await.expect(429);
    assert_says(&answer, &["3 rows are in flight", "limit of 4"]);
    assert_invites_another_try(&answer);
    busy.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_bytes_in_flight_are_429() {
    let limit = v2_json(&[ROW]).len() * 3 / 2;
    let busy = Busy::with(&[ROW], |config| {
        config.limits.max_bytes_in_flight = limit;
        config.ingress.max_body_size = limit;
    })
    .await;
    let answer = busy.post(&[ROW]).await.expect(429);
    assert_says(&answer, &["bytes are in flight", &limit.to_string()]);
    assert_invites_another_try(&answer);
    busy.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_or_panicking_model_is_500_and_the_next_request_is_served() {
    let engines = Engines::new();
    let house = House::ready(&engines).await;
    for fault in ["the mock was told to fail", "panicked"] {
        if fault == "panicked" {
            engines.blue.fail_when(|_| false);
            engines.blue.panic_when(|_| true);
        } else {
            engines.blue.fail_when(|_| true);
        }
        for format in Format::ALL {
            let request = format.request(house.running.data, &[ROW]);
            let answer = house.client.send(request).await.expect(500);
            assert_says(&answer, &["'m'", "version 1", fault]);
        }
    }
    engines.blue.panic_when(|_| false);
    house.client.post(&house.data(INFER), v2_json(&[ROW])).await.expect(200);
    let scrape = house.scrape().await;
    assert_eq!(scrape.ended("model_failed"), 10.0);
    scrape.assert_balanced();
}

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
    let House { mut running, client, folder: _folder } = house;
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
    let only = tokio::net::TcpStream::connect(house.running.data).await.unwrap();
    let connected = |scrape: &crate::scrape::Scrape| scrape.sum("tidegate_connections", &[]) == 1.0;
    house.until("the connection is known", connected).await;
    // It is told at once, before it has sent a word.
    let mut other = tokio::net::TcpStream::connect(house.running.data).await.unwrap();
    let mut told = String::new();
    other.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    assert!(told.contains("\r\nretry-after: 1\r\n"), "{told}");
    assert!(told.ends_with("{\"error\":\"too many connections\"}"), "{told}");
    drop(only);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_answered_in_time_is_504() {
    let engines = Engines::new();
    let short = |config: &mut Config| {
        one_instance(config);
        config.ingress.request_timeout = Duration::from_millis(300);
    };
    let house = House::ready_with(&engines, short).await;
    engines.blue.hold();
    // The first is late inside the engine, the second in the queue.
    let inside = send(&house, Format::V2Json.request(house.running.data, &[ROW]));
    until_held(&engines.blue, 1).await;
    engines.blue.forget_runs();
    let queued = send(&house, Format::TfColumn.request(house.running.data, &[ROW]));
    for late in [inside, queued] {
        let answer = late.await.unwrap().expect(504);
        assert_says(&answer, &["'m'", "version 1", "timeout expired"]);
    }
    engines.blue.open();
    house.client.post(&house.data(INFER), v2_json(&[ROW])).await.expect(200);
    assert_eq!(engines.blue.runs().len(), 1, "the late one was not executed any more");
    let scrape = house.scrape().await;
    assert_eq!(scrape.ended("deadline_exceeded"), 2.0);
    scrape.assert_balanced();
}
