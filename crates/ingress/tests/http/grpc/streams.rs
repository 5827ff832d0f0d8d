//! Streams of requests: order, errors that end nothing, and how a stream ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_inference::{Error, ErrorKind};
use tidegate_ingress::IngressConfig;
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::health::health_check_response::ServingStatus;
use tidegate_proto::grpc::health::{HealthCheckRequest, HealthCheckResponse};
use tidegate_proto::grpc::inference::ModelStreamInferResponse;
use tokio::sync::Semaphore;

use super::client::{Call, Caller, STREAM, request};
use crate::client::Server;
use crate::mock::Behaviour;

const WATCH: &str = "/grpc.health.v1.Health/Watch";

fn asking(model: &str, id: &str) -> Bytes {
    frame(&request(model, id, [1.0, 2.0]))
}

/// The id of the next answer, and its error.
async fn next(call: &mut Call) -> Option<(String, String)> {
    let message: ModelStreamInferResponse = call.message().await?;
    Some((message.infer_response.unwrap_or_default().id, message.error_message))
}

async fn gated() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let failed = Behaviour::Fail(Error::new(ErrorKind::ModelFailed, "no"));
    let models =
        [("m", Behaviour::Echo), ("slow", Behaviour::Gate(Arc::clone(&gate))), ("fails", failed)];
    (Server::start(IngressConfig::default(), &models).await, gate)
}

fn ids(answers: &[(String, String)]) -> Vec<&str> {
    answers.iter().map(|(id, _)| &**id).collect()
}

#[tokio::test]
async fn requests_run_side_by_side_and_answers_keep_their_order() {
    let (server, gate) = gated().await;
    let mut caller = Caller::to(&server).await;
    let three = [asking("slow", "1"), asking("m", "2"), asking("slow", "3")].concat();
    let mut call = caller.open(STREAM, &[], three).await;
    let reading = tokio::spawn(async move {
        let answers = [next(&mut call).await, next(&mut call).await, next(&mut call).await];
        (call, answers.map(Option::unwrap))
    });
    // All three are inside before the first was answered.
    server.mock.until(|counts| counts.running == 3).await;
    gate.add_permits(2);
    let (mut call, answers) = reading.await.unwrap();
    assert_eq!(ids(&answers), ["1", "2", "3"]);
    call.send = None;
    assert_eq!((next(&mut call).await, call.status().await.0), (None, 0));
    server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn whoever_asks_for_any_order_gets_the_first_answer_first() {
    let (server, gate) = gated().await;
    let mut caller = Caller::to(&server).await;
    let both = [asking("slow", "1"), asking("m", "2")].concat();
    let mut call = caller.open(STREAM, &[("tidegate-response-order", "any")], both).await;
    assert_eq!(next(&mut call).await.unwrap().0, "2");
    gate.add_permits(1);
    assert_eq!(next(&mut call).await.unwrap().0, "1");
    drop(call);
    server.stop().await;
}

#[tokio::test]
async fn an_error_is_told_by_its_id_and_the_stream_goes_on() {
    let (server, _) = gated().await;
    let mut caller = Caller::to(&server).await;
    let all = [asking("nope", "1"), asking("fails", "2"), asking("m", "3")].concat();
    let mut call = caller.open(STREAM, &[], all).await;
    let answers =
        [next(&mut call).await, next(&mut call).await, next(&mut call).await].map(Option::unwrap);
    assert_eq!(ids(&answers), ["1", "2", "3"]);
    assert!(answers[0].1.contains("'nope' is not found"), "{}", answers[0].1);
    assert_eq!((&*answers[1].1, &*answers[2].1), ("no", ""));
    // Bytes that are no message say nothing about the next one, which begins where they end.
    let send = call.send.as_ref().unwrap();
    send.unbounded_send(Bytes::from_static(&[0, 0, 0, 0, 1, 0xff])).unwrap();
    send.unbounded_send(asking("m", "5")).unwrap();
    assert!(next(&mut call).await.unwrap().1.contains("Protobuf"));
    assert_eq!(next(&mut call).await.unwrap().0, "5");
    drop(call);
    server.stop().await;
}

#[tokio::test]
async fn whoever_wants_real_statuses_gets_the_first_error_as_the_end() {
    let (server, _) = gated().await;
    let mut caller = Caller::to(&server).await;
    let all = [asking("m", "1"), asking("fails", "2"), asking("m", "3")].concat();
    let mut call = caller.open(STREAM, &[("triton_grpc_error", "true")], all).await;
    assert_eq!(next(&mut call).await.unwrap().0, "1");
    assert_eq!(next(&mut call).await, None);
    assert_eq!(call.status().await, (13, "no".to_owned()));
    server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_stream_frees_everybody_in_it() {
    let (server, _gate) = gated().await;
    let mut caller = Caller::to(&server).await;
    let four = asking("slow", "x").repeat(4);
    let call = caller.open(STREAM, &[], four).await;
    server.mock.until(|counts| counts.running == 4).await;
    drop(call);
    let counts = server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    assert_eq!((counts.gone, counts.responded, counts.bytes), (4, 0, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_drain_answers_who_is_inside_and_ends_the_stream() {
    let (server, gate) = gated().await;
    let mut caller = Caller::to(&server).await;
    let mut call = caller.open(STREAM, &[], asking("slow", "1")).await;
    server.mock.until(|counts| counts.running == 1).await;
    server.drain.begin();
    gate.add_permits(1);
    assert_eq!(next(&mut call).await.unwrap(), ("1".to_owned(), String::new()));
    assert_eq!(next(&mut call).await, None);
    assert_eq!(call.status().await, (14, "the server is draining".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn who_watches_the_health_of_a_draining_server_is_told_and_let_go() {
    let (server, _) = gated().await;
    let mut caller = Caller::to(&server).await;
    let mut call = caller.call(WATCH, &[], frame(&HealthCheckRequest::default())).await;
    let mut told = Vec::new();
    while let Some(HealthCheckResponse { status }) = call.message().await {
        told.push(status);
        server.drain.begin();
    }
    assert_eq!(told, [ServingStatus::Serving as i32, ServingStatus::NotServing as i32]);
    assert_eq!(call.status().await.0, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_on_which_nothing_happens_is_ended() {
    let stream_idle_timeout = Duration::from_millis(50);
    let config = IngressConfig { stream_idle_timeout, ..IngressConfig::default() };
    let server = Server::start(config, &[("m", Behaviour::Echo)]).await;
    let mut caller = Caller::to(&server).await;
    let mut call = caller.open(STREAM, &[], asking("m", "1")).await;
    assert_eq!(next(&mut call).await.unwrap().0, "1");
    assert_eq!(next(&mut call).await, None);
    let (code, message) = call.status().await;
    assert_eq!(code, 4);
    assert!(message.contains("no request has come on this stream"), "{message}");
    server.stop().await;
}
