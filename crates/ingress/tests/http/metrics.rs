//! The scrape on the data port, and what requests in TensorFlow Serving's words leave in it.

use tidegate_inference::{Entrypoint, Error, ErrorKind};
use tidegate_ingress::IngressConfig;

use crate::client::{Server, infer_body};
use crate::mock::Behaviour;

const PATHS: [&str; 2] = ["/metrics", "/monitoring/prometheus/metrics"];

#[tokio::test]
async fn metrics_are_at_both_usual_paths() {
    let server = Server::echo().await;
    for path in PATHS {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(page.contains("\ntidegate_connections "), "{page}");
    }
    server.stop().await;
}

#[tokio::test]
async fn metrics_that_are_switched_off_are_not_found() {
    let config = IngressConfig { metrics: false, ..IngressConfig::default() };
    let server = Server::start(config, &[("m", Behaviour::Echo)]).await;
    for path in PATHS {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn tensorflow_requests_tell_their_house_how_they_ended_and_others_do_not() {
    let failed = Error::new(ErrorKind::ModelFailed, "no");
    let models = [("good", Behaviour::Echo), ("bad", Behaviour::Fail(failed))];
    let server = Server::start(IngressConfig::default(), &models).await;
    let body = r#"{"instances":[[1,2]]}"#;
    assert_eq!(server.post("/v1/models/good:predict", body).await.status, 200);
    assert_eq!(server.post("/v1/models/good:predict", "{").await.status, 400);
    assert_eq!(server.post("/v1/models/bad:predict", body).await.status, 500);
    assert_eq!(server.post("/v2/models/good/infer", infer_body(1)).await.status, 200);
    let told = server.mock.tensorflow();
    let ends = [Ok(()), Err(ErrorKind::InvalidArgument), Err(ErrorKind::ModelFailed)];
    let expected = ends.map(|end| (Entrypoint::Rest, end));
    assert_eq!(told, expected);
    server.stop().await;
}

#[tokio::test]
async fn refused_tensorflow_requests_are_counted_for_models_that_exist() {
    let overloaded = Error::new(ErrorKind::Overloaded, "full");
    let models = [("m", Behaviour::Refuse(overloaded))];
    let server = Server::start(IngressConfig::default(), &models).await;
    let body = r#"{"instances":[[1,2]]}"#;
    for (model, status) in [("m", 429), ("none", 404)] {
        let path = format!("/v1/models/{model}:predict");
        assert_eq!(server.post(&path, body).await.status, status);
    }
    let page = server.telemetry.encode();
    let counts: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with(":tensorflow:serving:request_count{"))
        .collect();
    let expected =
        r#":tensorflow:serving:request_count{model_name="m",status="RESOURCE_EXHAUSTED"} 1"#;
    assert_eq!(counts, [expected]);
    server.stop().await;
}
