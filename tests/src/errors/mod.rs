//! Every status that an error can have, produced over HTTP by what really causes it.
//!
//! 401 is missing on purpose: there are no keys yet, so nothing can be wrong with them.

mod overload;
mod unavailable;

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use tidegate_batcher::{TensorView, ViewData};
use tidegate_gateway::Config;

use crate::client::{Answer, Client, Outgoing, request};
use crate::house::{Engines, House, one_instance, until_held};
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
        let inside = send(&house, Format::V2Json.request(house.address, rows));
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

/// Not the zeros that the gateway makes up to see whether the version still works.
fn is_a_callers(inputs: &[TensorView<'_>]) -> bool {
    let ViewData::Fixed(bytes) = &inputs[0].data else { return true };
    bytes.iter().any(|byte| *byte != 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_or_panicking_model_is_500_and_the_next_request_is_served() {
    let engines = Engines::new();
    let house = House::ready(&engines).await;
    for fault in ["the mock was told to fail", "panicked"] {
        if fault == "panicked" {
            engines.blue.fail_when(|_| false);
            engines.blue.panic_when(is_a_callers);
        } else {
            engines.blue.fail_when(is_a_callers);
        }
        for format in Format::ALL {
            let request = format.request(house.address, &[ROW]);
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
async fn a_request_that_is_not_answered_in_time_is_504() {
    let engines = Engines::new();
    let short = |config: &mut Config| {
        one_instance(config);
        config.ingress.request_timeout = Duration::from_millis(300);
    };
    let house = House::ready_with(&engines, short).await;
    engines.blue.hold();
    // The first is late inside the engine, the second in the queue.
    let inside = send(&house, Format::V2Json.request(house.address, &[ROW]));
    until_held(&engines.blue, 1).await;
    engines.blue.forget_runs();
    let queued = send(&house, Format::TfColumn.request(house.address, &[ROW]));
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
