//! Deadlines and priorities over HTTP: the late are told so in time and never run, who cannot make it is
//! refused on arrival, and the urgent overtake.

use std::time::Duration;

use http::{HeaderValue, Method};
use tidegate_gateway::Config;
use tokio::task::JoinHandle;

use crate::client::{Answer, Outgoing, request};
use crate::house::{Engines, House, count, of_model, one_instance, until_held};
use crate::wire::{Format, Row, v2_json};

const ROW: Row = [1.0, 2.0];

/// A house whose only worker is busy until the engine lets it go, and runs one request at a time.
struct Queueing {
    house: House,
    engines: Engines,
    inside: JoinHandle<Answer>,
}

impl Queueing {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let engines = Engines::new();
        let house = House::ready_with(&engines, |config| {
            one_instance(config);
            of_model(config).max_batch_size = Some(count(1));
            change(config);
        })
        .await;
        // What a run takes is learned, whatever the warm-up told.
        for _ in 0..3 {
            let plain = Format::V2Json.request(house.address, &[ROW]);
            house.client.send(plain).await.expect(200);
        }
        engines.blue.hold();
        let inside = spawn(&house, Format::V2Json.request(house.address, &[ROW]));
        until_held(&engines.blue, 1).await;
        engines.blue.forget_runs();
        Self { house, engines, inside }
    }

    fn send(&self, request: Outgoing) -> JoinHandle<Answer> {
        spawn(&self.house, request)
    }

    fn with_parameters(&self, parameters: &str) -> Outgoing {
        let body = v2_json(&[ROW]).replacen('{', &format!("{{\"parameters\":{{{parameters}}},"), 1);
        request(Method::POST, &self.house.data("/v2/models/m/infer"), body)
    }

    fn with_header(&self, format: Format, name: &'static str, value: &'static str) -> Outgoing {
        let mut request = format.request(self.house.address, &[ROW]);
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        request
    }

    /// Waits in the queue, behind what came before.
    async fn queued(&self, request: Outgoing, place: usize) -> JoinHandle<Answer> {
        let sent = self.send(request);
        self.house.until_queued(place as f64).await;
        sent
    }

    /// Lets one run end, and the next one begin.
    fn next(&self) {
        self.engines.blue.release(1);
    }

    /// Whoever still waits is answered now.
    async fn let_go(self, waiting: Vec<JoinHandle<Answer>>) {
        self.engines.blue.open();
        for answer in waiting.into_iter().chain([self.inside]) {
            answer.await.unwrap().expect(200);
        }
        self.house.scrape().await.assert_balanced();
    }
}

fn spawn(house: &House, request: Outgoing) -> JoinHandle<Answer> {
    let client = house.client.clone();
    tokio::spawn(async move { client.send(request).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_long_run_a_request_is_504_at_its_deadline_and_never_run() {
    let busy = Queueing::new(|_| {}).await;
    let late = [
        busy.with_parameters(r#""timeout":50000"#),
        busy.with_header(Format::V2Binary, "x-request-timeout", "0.05"),
        busy.with_header(Format::TfRow, "request-timeout", "50ms"),
        busy.with_header(Format::Predict, "grpc-timeout", "50m"),
    ];
    let late: Vec<_> = late.into_iter().map(|request| busy.send(request)).collect();
    // The run before them is still held: nobody waited for it to be told.
    for answer in late {
        let answer = answer.await.unwrap().expect(504);
        let error = answer.error();
        assert!(error.contains("model 'm' version 1: Request timeout expired"), "{error}");
        assert!(error.contains("in the queue"), "{error}");
        assert!(answer.header("retry-after").is_none());
    }
    let engine = busy.engines.blue.clone();
    let house = busy.house.client.clone();
    let another = Format::V2Json.request(busy.house.address, &[ROW]);
    busy.let_go(Vec::new()).await;
    house.send(another).await.expect(200);
    assert_eq!(engine.runs().len(), 1, "only what came after them was run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_own_timeout_bounds_its_requests() {
    let short = Some(Duration::from_millis(500));
    let busy = Queueing::new(|config| of_model(config).request_timeout = short).await;
    let patient = busy.with_header(Format::TfColumn, "x-request-timeout", "20");
    let answer = busy.send(patient).await.unwrap().expect(504);
    assert!(answer.error().contains("in the queue"), "{}", answer.error());
    // So is the one inside, whose run takes longer.
    let Queueing { house, engines, inside } = busy;
    let answer = inside.await.unwrap().expect(504);
    for said in ["Request timeout expired after 500.000 ms, in ", "execution"] {
        assert!(answer.error().contains(said), "{}", answer.error());
    }
    engines.blue.open();
    house.until("all ended", |scrape| scrape.ended("deadline_exceeded") == 2.0).await;
    house.scrape().await.assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_be_answered_too_late_is_429_with_the_predicted_wait() {
    let busy = Queueing::new(|_| {}).await;
    // With nobody waiting even the most impatient is taken, and too late.
    busy.send(busy.with_header(Format::V2Json, "grpc-timeout", "1u")).await.unwrap().expect(504);
    busy.house.until_queued(0.0).await;
    let waiting = busy.queued(Format::V2Json.request(busy.house.address, &[ROW]), 1).await;
    // No run takes a nanosecond, and somebody is ahead.
    for format in Format::ALL {
        let impatient = busy.with_header(format, "grpc-timeout", "1n");
        let answer = busy.send(impatient).await.unwrap().expect(429);
        let error = answer.error();
        for said in ["model 'm' version 1: predicted to be answered in", "deadline in 0.000 ms"] {
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let scrape = busy.house.scrape().await;
    let shed = scrape.sum("tidegate_requests_shed_total", &["reason=\"predicted_late\""]);
    assert_eq!(shed, Format::ALL.len() as f64);
    let engine = busy.engines.blue.clone();
    busy.let_go(vec![waiting]).await;
    assert_eq!(engine.runs().len(), 1, "of all these only the patient one was run");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_urgent_overtake_and_among_equals_the_soonest_deadline_goes_first() {
    let busy = Queueing::new(|_| {}).await;
    // All at once: whoever has waited for most of a second is as urgent as the first.
    let send = |parameters: &str| busy.send(busy.with_parameters(parameters));
    let last = send(r#""priority":10"#);
    let third = send(r#""priority":9"#);
    let second = send(r#""priority":9,"timeout":20000000"#);
    let first = send(r#""priority":1"#);
    busy.house.until_queued(4.0).await;
    // One run at a time: who is answered was next, and nobody behind it can be answered yet.
    busy.next();
    busy.next();
    first.await.unwrap().expect(200);
    assert!(!second.is_finished() && !third.is_finished() && !last.is_finished());
    busy.next();
    second.await.unwrap().expect(200);
    assert!(!third.is_finished() && !last.is_finished());
    busy.next();
    third.await.unwrap().expect(200);
    assert!(!last.is_finished());
    busy.let_go(vec![last]).await;
}
