//! Each kind of error has its status on each path, a body that names the fault, and one record.

use http::Method;
use std::time::Duration;
use tidegate_inference::{Error, ErrorKind};
use tidegate_ingress::IngressConfig;

use crate::client::{Server, infer_body};
use crate::mock::Behaviour;

const STATUSES: [u16; 13] = [400, 401, 403, 404, 404, 404, 413, 429, 500, 503, 504, 501, 500];

/// One model a kind, that refuses or fails with it.
async fn failing(behaviour: fn(Error) -> Behaviour) -> Server {
    let models: Vec<_> = ErrorKind::ALL
        .iter()
        .map(|kind| {
            (kind.as_str(), behaviour(Error::new(*kind, format!("told to be {}", kind.as_str()))))
        })
        .collect();
    Server::start(IngressConfig::default(), &models).await
}

fn bodies() -> [(&'static str, &'static str, String); 2] {
    [
        ("/v2/models/", "/infer", infer_body(1)),
        ("/v1/models/", ":predict", r#"{"instances":[[1,2]]}"#.to_owned()),
    ]
}

#[tokio::test]
async fn a_refusal_has_the_status_of_its_kind() {
    let server = failing(Behaviour::Refuse).await;
    for (kind, code) in ErrorKind::ALL.into_iter().zip(STATUSES) {
        for (prefix, suffix, body) in bodies() {
            let tensorflow = prefix.starts_with("/v1");
            let expected = if tensorflow && kind == ErrorKind::UnknownLabel { 400 } else { code };
            let answer = server.post(&format!("{prefix}{}{suffix}", kind.as_str()), body).await;
            assert_eq!(answer.status, expected, "{kind:?} at {prefix}");
            let unknown = matches!(kind, ErrorKind::UnknownModel | ErrorKind::UnknownVersion);
            let words = if tensorflow && unknown { "Servable not found" } else { "told to be" };
            assert!(answer.error().contains(words), "{}", answer.error());
        }
    }
    assert_eq!(server.mock.counts().admitted, 0);
    let metrics = server.telemetry.encode();
    let line = r#"tidegate_requests_refused_total{protocol="http_v2_json",reason="overloaded"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn a_failure_has_the_status_of_its_kind_and_is_settled_once() {
    let server = failing(Behaviour::Fail).await;
    for (kind, code) in ErrorKind::ALL.into_iter().zip(STATUSES) {
        let answer =
            server.post(&format!("/v2/models/{}/infer", kind.as_str()), infer_body(1)).await;
        assert_eq!(answer.status, code, "{kind:?}");
        assert_eq!(answer.error(), format!("told to be {}", kind.as_str()));
        assert_eq!(
            answer.header("retry-after").is_empty(),
            ![429, 503].contains(&code),
            "{kind:?}"
        );
    }
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.errored, counts.responded, counts.gone), (13, 0, 0));
    server.stop().await;
}

#[tokio::test]
async fn retry_after_says_what_the_error_says() {
    let error =
        Error::new(ErrorKind::Overloaded, "full").with_retry_after(Duration::from_millis(2500));
    let server = Server::start(IngressConfig::default(), &[("m", Behaviour::Refuse(error))]).await;
    let answer = server.post("/v2/models/m/infer", infer_body(1)).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "3"));
    server.stop().await;
}

#[tokio::test]
async fn unknown_models_and_versions_are_named_in_the_words_of_the_contract() {
    let server = Server::echo().await;
    for (path, code, message) in [
        ("/v2/models/none/infer", 404, "Request for unknown model: 'none' is not found"),
        ("/v2/models/.x/infer", 404, "Request for unknown model: '.x' is not found"),
        (
            "/v2/models/m/versions/9/infer",
            404,
            "Request for unknown model: 'm' version 9 is not found",
        ),
        ("/v2/models/m/versions/2/infer", 503, "is not at ready state"),
        ("/v2/models/m/versions/x/infer", 404, "Not Found"),
        ("/v1/models/none:predict", 404, "Servable not found for request: Latest(none)"),
        ("/v1/models/m/versions/9:predict", 404, "Servable not found for request: Specific(m, 9)"),
        ("/v1/models/m/labels/red:predict", 400, "Unrecognized servable version label"),
        ("/v1/models/m/versions/99999999999999999999:predict", 400, "Failed to convert version:"),
    ] {
        let answer = server.post(path, infer_body(1)).await;
        assert_eq!(answer.status, code, "{path}");
        assert!(answer.error().contains(message), "{path}: {}", answer.error());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_which_is_right() {
    let server = Server::echo().await;
    let answer = server.get("/v2/models/m/infer").await;
    assert_eq!((answer.status.as_u16(), answer.error()), (405, "Method Not Allowed".to_owned()));
    assert_eq!(answer.header("allow"), "POST");
    let answer = server.send(Method::DELETE, "/v2/health/live", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD"));
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_makes_no_sense_is_the_callers_fault_alone() {
    let server = Server::echo().await;
    for (path, body) in [
        ("/v2/models/m/infer", ""),
        ("/v2/models/m/infer", "{"),
        (
            "/v2/models/m/infer",
            r#"{"inputs":[{"name":"z","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#,
        ),
        (
            "/v2/models/m/infer",
            r#"{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}"#,
        ),
        ("/v1/models/m:predict", ""),
        ("/v1/models/m:predict", r#"{"instances":[]}"#),
        ("/predict", r#"{"else":1}"#),
    ] {
        let answer = server.post(path, body).await;
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
        assert!(!answer.error().is_empty());
    }
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.errored, counts.gone), (7, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_answered_and_the_connection_lives_on() {
    let models = [("m", Behaviour::Panic), ("good", Behaviour::Echo)];
    let server = Server::start(IngressConfig::default(), &models).await;
    let mut caller = server.caller().await;
    let answer = caller.send(Method::POST, "/v2/models/m/infer", &[], infer_body(1)).await;
    assert_eq!(answer.status, 500);
    assert!(!answer.header("x-request-id").is_empty());
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.errored, counts.gone), (1, 0), "the gateway's fault, not the caller's");
    let answer = caller.send(Method::POST, "/v2/models/good/infer", &[], infer_body(1)).await;
    assert_eq!(answer.status, 200);
    server.stop().await;
}
