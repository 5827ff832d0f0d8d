//! What goes wrong in the engine stays with those it belongs to: a bad request fails alone, a panic and a hang
//! are one request's, and a version on which nothing runs says so, takes no traffic and comes back.

use std::time::Duration;

use tidegate_batcher::{TensorView, ViewData};
use tokio::task::JoinHandle;

use crate::client::Answer;
use crate::house::{Engines, House, count, of_model, one_instance, until_held};
use crate::wire::{Format, Row};

const POISON: f32 = 666.0;

fn row(number: usize) -> Row {
    [number as f32, 0.5]
}

fn poisoned(inputs: &[TensorView<'_>]) -> bool {
    let ViewData::Fixed(bytes) = &inputs[0].data else { return false };
    bytes.as_chunks().0.iter().any(|value| f32::from_le_bytes(*value) == POISON)
}

fn send(house: &House, rows: &[Row]) -> JoinHandle<Answer> {
    let (client, request) = (house.client.clone(), Format::V2Json.request(house.address, rows));
    tokio::spawn(async move { client.send(request).await })
}

/// A house in which whatever waits together runs together, on one instance.
async fn together(engines: &Engines, max_execution_time: Duration) -> House {
    House::ready_with(engines, |config| {
        one_instance(config);
        let model = of_model(config);
        model.batch_size = Some(count(32));
        model.max_queue_delay = Some(Duration::ZERO);
        model.max_batch_size = Some(count(32));
        model.max_execution_time = Some(max_execution_time);
    })
    .await
}

/// Sends a request for each row so that all of them share a batch, behind one that keeps the engine busy.
async fn in_one_batch(house: &House, engines: &Engines, rows: &[Row]) -> Vec<Answer> {
    engines.blue.hold();
    let first = send(house, &[row(1000)]);
    until_held(&engines.blue, 1).await;
    let sent: Vec<_> = rows.iter().map(|row| send(house, &[*row])).collect();
    house.until_queued(sent.len() as f64).await;
    engines.blue.forget_runs();
    engines.blue.open();
    first.await.unwrap();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

/// So many good ones, and a poisoned one at the end.
async fn with_a_poisoned_one(house: &House, engines: &Engines, good: usize) -> Vec<Answer> {
    let rows: Vec<Row> = (0..good).map(row).chain([[POISON, 0.5]]).collect();
    in_one_batch(house, engines, &rows).await
}

#[track_caller]
fn good_ones_are_right(answers: &[Answer]) {
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(Format::V2Json.rows(answer), [Engines::answer(1, row(number))]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_request_in_a_batch_of_32_fails_alone() {
    let engines = Engines::new();
    let house = together(&engines, Duration::from_secs(30)).await;
    engines.blue.fail_when(poisoned);
    let answers = with_a_poisoned_one(&house, &engines, 31).await;
    good_ones_are_right(&answers[..31]);
    assert_eq!(answers[31].status, 500);
    assert!(answers[31].error().contains("the mock was told to fail"), "{}", answers[31].error());
    assert_eq!(engines.blue.runs()[0].shapes[0][0], 32, "they did share a batch");
    let scrape = house.scrape().await;
    scrape.assert_balanced();
    assert_eq!(scrape.sum("tidegate_poisoned_requests_total", &[]), 1.0);
    let reruns = scrape.sum("tidegate_isolation_runs_total", &[]);
    assert!((5.0..=11.0).contains(&reruns), "{reruns}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_engine_is_one_requests_and_the_instance_is_rebuilt() {
    let engines = Engines::new();
    let house = together(&engines, Duration::from_secs(30)).await;
    engines.blue.panic_when(poisoned);
    let answers = with_a_poisoned_one(&house, &engines, 7).await;
    good_ones_are_right(&answers[..7]);
    assert_eq!(answers[7].status, 500);
    assert!(answers[7].error().contains("the engine panicked"), "{}", answers[7].error());
    let scrape = house.scrape().await;
    scrape.assert_balanced();
    assert!(scrape.sum("tidegate_instance_rebuilds_total", &["reason=\"panic\""]) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_hangs_is_ended_and_its_neighbours_are_answered() {
    let engines = Engines::new();
    let house = together(&engines, Duration::from_millis(500)).await;
    engines.blue.hang_when(poisoned);
    let answers = with_a_poisoned_one(&house, &engines, 7).await;
    good_ones_are_right(&answers[..7]);
    assert_eq!(answers[7].status, 500);
    let error = answers[7].error();
    assert!(error.contains("max_execution_time of 500ms"), "{error}");
    let scrape = house.scrape().await;
    scrape.assert_balanced();
    assert!(scrape.sum("tidegate_watchdog_terminations_total", &[]) >= 1.0);
    assert!(scrape.sum("tidegate_instance_rebuilds_total", &["reason=\"hang\""]) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_stuck_in_the_engine_is_replaced_and_leaving_with_it_says_so() {
    let engines = Engines::new();
    let house = together(&engines, Duration::from_millis(500)).await;
    engines.blue.hang_when(poisoned);
    engines.blue.ignore_termination(true);
    let answer = send(&house, &[[POISON, 0.5]]).await.unwrap();
    assert_eq!(answer.status, 500, "{}", answer.text());
    let answer = send(&house, &[row(3)]).await.unwrap();
    assert_eq!(Format::V2Json.rows(&answer), [Engines::answer(1, row(3))]);
    assert_eq!(house.scrape().await.sum("tidegate_stuck_threads", &[]), 1.0);
    let stopped = house.running.stop().await;
    assert_eq!(stopped, tidegate_gateway::Stopped::WorkerInside);
    engines.blue.end_hangs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_on_which_nothing_runs_turns_unready_says_why_and_comes_back() {
    let engines = Engines::new();
    let house = together(&engines, Duration::from_secs(30)).await;
    engines.blue.fail_when(|_| true);
    let rows: Vec<Row> = (0..16).map(row).collect();
    let answers = in_one_batch(&house, &engines, &rows).await;
    assert!(answers.iter().all(|answer| answer.status == 500), "{answers:?}");
    // With the one before it, the third failure is the first part's. From then on only the probe runs.
    let rows: Vec<usize> = engines.blue.runs().iter().map(|run| run.shapes[0][0]).collect();
    assert_eq!(rows[..3], [16, 8, 1]);
    assert!(rows[3..].iter().all(|rows| *rows == 1), "{rows:?}");

    let version = house.admin("/admin/v1/models/m");
    let state = house.client.get(&version).await.expect(200).json()["versions"][0].clone();
    assert_eq!(state["state"], "failed", "{state}");
    let why = state["reason"].as_str().unwrap();
    assert!(why.contains("it answered when it was loaded"), "{why}");
    for path in ["/v2/models/m/versions/1/ready", "/v2/models/m/ready"] {
        let status = house.client.get(&house.data(path)).await.status;
        assert_eq!(status == 503, path.contains("/1/"), "{path}: {status}");
    }
    let status = house.client.get(&house.data("/v1/models/m/versions/1")).await.expect(200).text();
    assert!(status.contains("\"END\"") && status.contains("the mock was told to fail"), "{status}");
    let refused = send(&house, &[row(1)]).await.unwrap().expect(503);
    assert!(refused.header("retry-after").is_some());

    engines.blue.fail_when(|_| false);
    let ready = r#"state="ready""#;
    let is_ready = |scrape: &crate::scrape::Scrape| {
        scrape.sum("tidegate_version_state", &["version=\"1\"", ready]) == 1.0
    };
    house.until("version 1 ready again", is_ready).await;
    let answer = send(&house, &[row(1)]).await.unwrap();
    assert_eq!(Format::V2Json.rows(&answer), [Engines::answer(1, row(1))]);
    house.scrape().await.assert_balanced();
}
