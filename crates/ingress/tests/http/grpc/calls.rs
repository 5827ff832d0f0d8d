//! Calls with one request: answers, refusals with their status, limits, and callers that go away.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_inference::{Error, ErrorKind, TensorData};
use tidegate_ingress::IngressConfig;
use tidegate_proto::grpc::inference::{
    ModelInferRequest, ModelInferResponse, ModelReadyRequest, ModelReadyResponse,
};
use tidegate_proto::grpc::{frame, open_inference};
use tokio::sync::Semaphore;

use super::client::{Caller, INFER, framed, request};
use crate::client::Server;
use crate::mock::Behaviour;

async fn status(
    server: &Server,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (u16, String) {
    Caller::to(server).await.call(INFER, headers, body).await.status().await
}

#[tokio::test]
async fn an_answer_comes_raw_with_its_id_and_version_and_where_its_time_went() {
    let server = Server::echo().await;
    let body = frame(&request("m", "seven", [1.5, 2.0]));
    let mut call = Caller::to(&server).await.call(INFER, &[], body).await;
    assert_eq!(call.headers["content-type"], "application/grpc");
    assert!(call.headers.contains_key("x-request-id"));
    assert!(call.headers["server-timing"].to_str().unwrap().contains("execute"));
    let response: ModelInferResponse = call.message().await.unwrap();
    assert_eq!((&*response.id, &*response.model_version), ("seven", "1"));
    let outputs = open_inference::decode_response(response).unwrap();
    let TensorData::Fixed(bytes) = outputs[0].data() else { panic!("FP32") };
    assert_eq!(bytes[..], [4.0_f32, 5.0].map(f32::to_le_bytes).concat());
    assert_eq!(call.status().await.0, 0);
    let counts = server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    assert_eq!((counts.admitted, counts.responded, counts.bytes), (1, 1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_comes_in_pieces_is_one_message() {
    let server = Server::echo().await;
    let body = framed("m");
    for cut in [1, 4, 5, 6, body.len() - 1] {
        let mut caller = Caller::to(&server).await;
        let (send, answered) = caller.begin(INFER, &[], body.slice(..cut));
        send.unbounded_send(body.slice(cut..)).unwrap();
        drop(send);
        assert_eq!(answered.await.status(), 200, "{cut}");
    }
    server.mock.until(|counts| counts.responded == 5 && counts.held == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_has_the_status_of_its_kind() {
    let fail = |kind| Behaviour::Fail(Error::new(kind, "100 % of 'ä' failed"));
    let overload = Error::new(ErrorKind::Overloaded, "full");
    let overload = overload.with_retry_after(Duration::from_millis(250));
    let models = [
        ("m", Behaviour::Echo),
        ("fails", fail(ErrorKind::ModelFailed)),
        ("late", fail(ErrorKind::DeadlineExceeded)),
        ("full", Behaviour::Refuse(overload)),
    ];
    let server = Server::start(IngressConfig::default(), &models).await;
    let versioned = |version: &str| ModelInferRequest {
        model_version: version.to_owned(),
        ..request("m", "", [0.0, 0.0])
    };
    for (body, code, told) in [
        (framed("nope"), 5, "Request for unknown model: 'nope' is not found"),
        (framed(""), 5, "Request for unknown model: '' is not found"),
        (frame(&versioned("9")), 5, "version 9 is not found"),
        (frame(&versioned("2")), 14, "is not at ready state"),
        (frame(&versioned("x")), 3, "expected a positive integer"),
        (framed("fails"), 13, "100 % of 'ä' failed"),
        (framed("late"), 4, "failed"),
        (framed("full"), 8, "full"),
        (Bytes::new(), 3, "expected one message in this call, got none"),
        (Bytes::from_static(&[0, 0, 0, 0, 9, 1]), 3, "ends in the middle of a message"),
        (Bytes::from_static(&[7, 0, 0, 0, 0]), 3, "begins with 0 or 1 (compressed), got 7"),
        (Bytes::from_static(&[1, 0, 0, 0, 0]), 3, "no grpc-encoding says how"),
        (Bytes::from_static(&[0, 0, 0, 0, 1, 0xff]), 3, "failed to decode Protobuf message"),
        (
            [framed("m"), framed("m")].concat().into(),
            3,
            "expected one message in this call, got more",
        ),
    ] {
        let (got, message) = status(&server, &[], body).await;
        assert_eq!(got, code, "{message}");
        assert!(message.contains(told), "{message}");
    }
    let call = Caller::to(&server).await.call(INFER, &[], framed("full")).await;
    assert_eq!(call.headers["grpc-retry-pushback-ms"], "250");
    let counts = server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    assert_eq!((counts.bytes, counts.gone), (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn shedding_is_unavailable_for_those_who_want_it_as_triton_has_it() {
    let config = IngressConfig { triton_compat: true, ..IngressConfig::default() };
    let full = Behaviour::Refuse(Error::new(ErrorKind::Overloaded, "full"));
    let server = Server::start(config, &[("m", full)]).await;
    assert_eq!(status(&server, &[], framed("m")).await.0, 14);
    server.stop().await;
}

#[tokio::test]
async fn the_head_of_a_call_is_held_to_its_rules() {
    let server = Server::echo().await;
    for (headers, code, told) in [
        (("grpc-timeout", "5"), 3, "header 'grpc-timeout': expected 1 to 8 digits"),
        (("grpc-encoding", "snappy"), 12, "grpc-encoding 'snappy' is not supported"),
        (("grpc-encoding", "identity"), 0, ""),
    ] {
        let (got, message) = status(&server, &[headers], framed("m")).await;
        assert_eq!(got, code, "{message}");
        assert!(message.contains(told), "{message}");
    }
    let mut caller = Caller::to(&server).await;
    let mut unknown = caller.call("/inference.GRPCInferenceService/Nope", &[], "").await;
    assert_eq!(unknown.status().await.0, 12);
    server.stop().await;
}

#[tokio::test]
async fn a_message_beyond_its_limit_is_refused_before_it_is_there() {
    let config = IngressConfig { max_body_size: 1000, ..IngressConfig::default() };
    let server = Server::start(config, &[("m", Behaviour::Echo)]).await;
    let mut caller = Caller::to(&server).await;
    // The body stays open: the claim alone is answered.
    let mut call = caller.open(INFER, &[], &[0, 0xff, 0xff, 0xff, 0xff][..]).await;
    let (code, message) = call.status().await;
    assert_eq!(
        (code, &*message),
        (8, "a message of 4294967295 bytes exceeds the maximum of 1000 bytes")
    );
    server.stop().await;
}

#[tokio::test]
async fn many_small_things_are_paid_for_before_they_are_made() {
    let server = Server::start(IngressConfig::default(), &[("m", Behaviour::Bytes(1 << 20))]).await;
    // Two bytes each on the wire, hundreds in memory.
    let empty = vec![Default::default(); 100_000];
    let request = ModelInferRequest { inputs: empty, ..request("m", "", [0.0, 0.0]) };
    let body = frame(&request);
    assert!(body.len() < 300_000);
    let (code, _) = status(&server, &[], body).await;
    assert_eq!(code, 3, "raw contents for one of so many inputs");
    let most = server.mock.counts().most_bytes;
    assert!(most > 50_000_000, "{most}");
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_dribbles_is_late() {
    let config =
        IngressConfig { body_read_timeout: Duration::from_millis(50), ..IngressConfig::default() };
    let server = Server::start(config, &[("m", Behaviour::Echo)]).await;
    let mut caller = Caller::to(&server).await;
    for begun in [&[][..], &[0, 0], &[0, 0, 0, 0, 9, 1]] {
        let (code, message) = caller.open(INFER, &[], begun).await.status().await;
        assert_eq!(code, 4, "{message}");
        assert!(message.contains("did not arrive within"), "{message}");
    }
    assert_eq!(server.mock.counts().bytes, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_call_gives_its_permit_back() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::start(IngressConfig::default(), &[("m", Behaviour::Gate(gate))]).await;
    let mut caller = Caller::to(&server).await;
    let (send, answered) = caller.begin(INFER, &[], framed("m"));
    drop(send);
    server.mock.until(|counts| counts.running == 1).await;
    drop(answered);
    let counts = server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    assert_eq!((counts.gone, counts.errored, counts.bytes), (1, 0, 0));
    // And the connection lives on.
    let asked = ModelReadyRequest { name: "m".to_owned(), version: String::new() };
    let path = "/inference.GRPCInferenceService/ModelReady";
    let ready: ModelReadyResponse =
        caller.call(path, &[], frame(&asked)).await.message().await.unwrap();
    assert!(ready.ready);
    server.stop().await;
}

#[tokio::test]
async fn a_call_cancelled_in_its_message_gives_back_what_it_took() {
    let server = Server::echo().await;
    let mut caller = Caller::to(&server).await;
    let (send, answered) = caller.begin(INFER, &[], Bytes::from_static(&[0, 0, 0, 1, 0, 1]));
    server.mock.until(|counts| counts.bytes == 256).await;
    drop((send, answered));
    let counts = server.mock.until(|counts| counts.bytes == 0).await;
    assert_eq!((counts.admitted, counts.held), (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn the_timeout_of_the_head_is_the_deadline() {
    let server = Server::echo().await;
    assert_eq!(status(&server, &[("grpc-timeout", "700m")], framed("m")).await.0, 0);
    assert_eq!(server.mock.terms()[0].head, Duration::from_millis(700));
    server.stop().await;
}
