//! Triton's statistics extension over HTTP: which versions are listed, and what of them.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_inference::{BatchFacts, CloseReason, ErrorKind, ModelName, Timeline, VersionState};
use tidegate_ingress::IngressConfig;

use crate::client::Server;
use crate::mock::{Behaviour, version};

/// Two models; version 1 of each is loaded, and that of `a` has answered two requests and failed one.
async fn server() -> Server {
    let models = [("a", Behaviour::Echo), ("b", Behaviour::Echo)];
    let server = Server::start(IngressConfig::default(), &models).await;
    let [a, _] =
        ["a", "b"].map(|name| server.telemetry.model(&ModelName::new(name).unwrap(), version(1)));
    for rows in [1, 2] {
        a.accepted();
        a.responded(&Timeline::starting(std::time::Instant::now()), rows);
    }
    a.accepted();
    a.errored(ErrorKind::ModelFailed, Duration::from_millis(4));
    let facts = BatchFacts { rows: 3, requests: 2, closed_by: CloseReason::Eager };
    let ms = Duration::from_millis;
    a.batch(facts, ms(1), ms(2), ms(3));
    server
}

fn listed(stats: &Value) -> Vec<(&str, &str)> {
    let each = stats["model_stats"].as_array().unwrap().iter();
    each.map(|stats| (stats["name"].as_str().unwrap(), stats["version"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn loaded_versions_are_listed_of_all_models_or_of_one() {
    let server = server().await;
    for (path, expected) in [
        ("/v2/models/stats", vec![("a", "1"), ("b", "1")]),
        ("/v2/models/b/stats", vec![("b", "1")]),
        ("/v2/models/a/versions/1/stats", vec![("a", "1")]),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(listed(&answer.json()), expected, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_version_has_done_is_told_with_every_member() {
    let server = server().await;
    let mut stats = server.get("/v2/models/a/stats").await.json();
    let stats = &mut stats["model_stats"][0];
    assert!(stats["last_inference"].take().as_u64() > Some(1_577_836_800_000), "before 2020");
    let total = |count: u64, ms: u64| json!({"count": count, "ns": ms * 1_000_000});
    assert_eq!(
        *stats,
        json!({
            "name": "a", "version": "1", "last_inference": null,
            "inference_count": 3, "execution_count": 1,
            "inference_stats": {
                "success": total(2, 0), "fail": total(1, 4), "queue": total(2, 0),
                "compute_input": total(2, 0), "compute_infer": total(2, 0), "compute_output": total(2, 0),
                "cache_hit": total(0, 0), "cache_miss": total(0, 0),
            },
            "response_stats": {},
            "batch_stats": [{
                "batch_size": 3,
                "compute_input": total(1, 1), "compute_infer": total(1, 2), "compute_output": total(1, 3),
            }],
            "memory_usage": [],
        })
    );
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_model_or_version_is_404_and_one_that_is_not_loaded_503() {
    let server = server().await;
    for (path, status) in [
        ("/v2/models/none/stats", 404),
        ("/v2/models/a/versions/9/stats", 404),
        ("/v2/models/a/versions/2/stats", 503),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(answer.error().starts_with("Request for unknown model: '"), "{}", answer.error());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_version_that_was_unloaded_is_not_listed_and_one_that_failed_later_is() {
    let server = server().await;
    for (state, count) in [(VersionState::Failed, 1), (VersionState::Unloaded, 0)] {
        server.mock.change_catalog(|catalog| {
            let model = catalog.models.get_mut("a").unwrap();
            model.versions.get_mut(&version(1)).unwrap().state = state;
        });
        assert_eq!(listed(&server.get("/v2/models/a/stats").await.json()).len(), count, "{state}");
    }
    server.stop().await;
}
