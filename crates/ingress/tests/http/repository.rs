//! Triton's model repository extension: what reaches the control plane, and what does not.

use std::io::Write as _;

use http::Method;
use serde_json::json;
use tidegate_inference::LoadRequest;
use tidegate_ingress::IngressConfig;

use crate::client::Server;
use crate::manager::Asked;
use crate::mock::Behaviour;

const LOAD: &str = "/v2/repository/models/m/load";
const UNLOAD: &str = "/v2/repository/models/m/unload";

async fn managed() -> Server {
    let config = IngressConfig { management: true, ..IngressConfig::default() };
    Server::start(config, &[("m", Behaviour::Echo)]).await
}

#[tokio::test]
async fn anybody_may_see_the_index() {
    let server = Server::echo().await;
    let ready = json!({"name": "m", "version": "1", "state": "READY", "reason": ""});
    let loading = json!({"name": "m", "version": "2", "state": "LOADING", "reason": ""});
    let all = server.post("/v2/repository/index", "").await;
    assert_eq!((all.status.as_u16(), all.json()), (200, json!([ready, loading])));
    let only_ready = server.post("/v2/repository/index", r#"{"ready":true}"#).await;
    assert_eq!(only_ready.json(), json!([ready]));
    let bad = server.post("/v2/repository/index", r#"{"ready":1}"#).await;
    assert_eq!(bad.status, 400, "{}", bad.text());
    let large = server.post("/v2/repository/index", " ".repeat(65 << 10)).await;
    assert_eq!(large.status, 413, "{}", large.text());
    server.stop().await;
}

#[tokio::test]
async fn nobody_may_change_anything_unless_it_is_allowed() {
    let server = Server::echo().await;
    for path in [LOAD, UNLOAD] {
        let refused = server.post(path, "").await;
        assert_eq!(refused.status, 403);
        assert!(refused.error().contains("data.management"), "{}", refused.text());
    }
    assert_eq!(server.manager.asked(), []);
    let extensions = server.get("/v2").await.json()["extensions"].clone();
    assert!(!extensions.as_array().unwrap().contains(&json!("model_repository")), "{extensions}");
    server.stop().await;
}

#[tokio::test]
async fn loads_and_unloads_reach_the_control_plane_and_are_answered_without_a_body() {
    let server = managed().await;
    let config = r#"{"parameters":{"config":"{}"}}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(config.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let encoded = [("content-encoding", "gzip")];
    for answer in [
        server.post(LOAD, "").await,
        server.post(LOAD, config).await,
        server.send(Method::POST, LOAD, &encoded, gzip).await,
        server.post(UNLOAD, r#"{"parameters":{"unload_dependents":false}}"#).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
        assert_eq!(answer.header("content-type"), "");
    }
    let with = |config: Option<&str>| LoadRequest { config: config.map(str::to_owned) };
    assert_eq!(
        server.manager.asked(),
        [
            Asked::Load("m".into(), with(None)),
            Asked::Load("m".into(), with(Some("{}"))),
            Asked::Load("m".into(), with(Some("{}"))),
            Asked::Unload("m".into()),
        ]
    );
    let extensions = server.get("/v2").await.json()["extensions"].clone();
    assert!(extensions.as_array().unwrap().contains(&json!("model_repository")), "{extensions}");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_before_it_reaches_the_control_plane() {
    let server = managed().await;
    for (body, status) in [
        ("{", 400),
        ("[]", 400),
        (r#"{"parameters":{"config":5}}"#, 400),
        (r#"{"parameters":{"file:1/model.onnx":"AAAA"}}"#, 501),
    ] {
        let refused = server.post(LOAD, body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text());
    }
    let named = server.post("/v2/repository/mine/models/m/load", "").await;
    assert_eq!(named.status, 501, "{}", named.text());
    assert_eq!(server.manager.asked(), []);
    let unknown = server.post("/v2/repository/models/unknown/load", "").await;
    assert_eq!((unknown.status.as_u16(), &*unknown.error()), (404, "no such model"));
    server.stop().await;
}
