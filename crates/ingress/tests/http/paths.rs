//! Every path of the three contracts, answered.

use http::Method;
use serde_json::json;
use tidegate_ingress::IngressConfig;

use crate::client::{Server, infer_body};
use crate::mock::Behaviour;

#[tokio::test]
async fn health_is_told_with_code_and_body() {
    let server = Server::echo().await;
    for path in ["/v2/health/live", "/livez"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"live": true})), "{path}");
    }
    for path in ["/v2/health/ready", "/readyz"] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (200, json!({"ready": true})),
            "{path}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn the_openapi_document_is_there_for_programs() {
    let server = Server::echo().await;
    let answer = server.get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.json()["paths"]["/v2/models/{model}/infer"]["post"].is_object());
    server.stop().await;
}

#[tokio::test]
async fn readiness_turns_false_while_loading() {
    for (triton_compat, code) in [(false, 503), (true, 400)] {
        let config = IngressConfig { triton_compat, ..IngressConfig::default() };
        let server = Server::start(config, &[("m", Behaviour::Echo)]).await;
        server.mock.change_catalog(|catalog| catalog.ready = false);
        let answer = server.get("/v2/health/ready").await;
        assert_eq!(answer.status.as_u16(), code);
        assert_eq!(answer.json()["ready"], false);
        assert!(answer.error().contains("not at ready state"));
        assert_eq!(server.get("/v2/health/live").await.status, 200);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_model_is_ready_when_its_version_is() {
    let server = Server::echo().await;
    for path in ["/v2/models/m/ready", "/v2/models/m/versions/1/ready"] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (200, json!({"name": "m", "ready": true}))
        );
    }
    let loading = server.get("/v2/models/m/versions/2/ready").await;
    assert_eq!((loading.status.as_u16(), &loading.json()["ready"]), (503, &json!(false)));
    assert!(loading.error().contains("not at ready state"), "{}", loading.error());
    assert_eq!(server.get("/v2/models/m/versions/3/ready").await.status, 404);
    assert_eq!(server.get("/v2/models/none/ready").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn metadata_names_server_models_and_tensors() {
    let server = Server::echo().await;
    let about = server.get("/v2").await.json();
    assert_eq!(about["name"], "tidegate");
    assert!(about["extensions"].as_array().unwrap().contains(&json!("binary_tensor_data")));
    assert_eq!(server.get("/v2/models").await.json(), json!({"models": ["m"]}));
    let model = server.get("/v2/models/m").await;
    assert_eq!(
        model.json(),
        json!({
            "name": "m", "versions": ["1"], "platform": "onnxruntime_onnx",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
        })
    );
    assert_eq!(server.get("/v2/models/m/versions/2").await.status, 503);
    let unknown = server.get("/v2/models/none").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.error(), "Request for unknown model: 'none' is not found");
    server.stop().await;
}

#[tokio::test]
async fn a_models_configuration_is_shown_once_its_version_was_loaded() {
    let server = Server::echo().await;
    for path in ["/v2/models/m/config", "/v2/models/m/versions/1/config"] {
        let config = server.get(path).await.json();
        assert_eq!((&config["name"], &config["max_batch_size"]), (&json!("m"), &json!(8)));
        assert_eq!(config["input"][0]["dims"], json!([2]));
        assert_eq!(config["model_transaction_policy"], json!({"decoupled": false}));
        assert_eq!(config.get("dynamic_batching"), None);
    }
    let extensions = server.get("/v2").await.json()["extensions"].clone();
    assert!(extensions.as_array().unwrap().contains(&json!("model_configuration")));
    let loading = server.get("/v2/models/m/versions/2/config").await;
    assert_eq!(loading.status, 503);
    assert!(loading.error().contains("not at ready state"), "{}", loading.error());
    assert_eq!(server.get("/v2/models/none/config").await.status, 404);
    assert_eq!(server.get("/v2/models/m/versions/3/config").await.status, 404);
    assert_eq!(server.post("/v2/models/m/config", "").await.status, 405);
    server.stop().await;
}

#[tokio::test]
async fn open_inference_answers_a_prediction() {
    let server = Server::echo().await;
    for path in ["/v2/models/m/infer", "/v2/models/m/versions/1/infer", "/v2/models/%6D/infer"] {
        let answer = server.post(path, infer_body(2)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        assert_eq!(body["model_name"], "m");
        assert_eq!(body["outputs"][0]["data"], json!([4.0, 4.0, 4.0, 4.0]));
        let timing = answer.header("server-timing");
        for part in [
            "queue;dur=",
            "batch;dur=",
            "execute;dur=",
            "total;dur=",
            "batch-size;desc=\"8\"",
            "closed-by;desc=\"target\"",
        ] {
            assert!(timing.contains(part), "{timing}");
        }
    }
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.admitted, counts.responded, counts.errored, counts.gone), (3, 3, 0, 0));
    server.stop().await;
}

#[tokio::test]
async fn binary_tensors_travel_both_ways() {
    let server = Server::echo().await;
    let head = r#"{"id":"7","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}"#;
    let mut body = head.as_bytes().to_vec();
    body.extend([0.5_f32, 1.0].iter().flat_map(|value| value.to_le_bytes()));
    let length = head.len().to_string();
    let headers = [
        ("inference-header-content-length", &*length),
        ("content-type", "application/octet-stream"),
    ];
    let answer = server.send(Method::POST, "/v2/models/m/infer", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    let json_length: usize = answer.header("inference-header-content-length").parse().unwrap();
    let (json, binary) = answer.body.split_at(json_length);
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    assert_eq!((&json["id"], &json["outputs"][0]["name"]), (&json!("7"), &json!("y")));
    let expected: Vec<u8> = [2.0_f32, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(binary, expected);

    let bad = [("inference-header-content-length", "many")];
    let refused = server.send(Method::POST, "/v2/models/m/infer", &bad, "{}").await;
    assert_eq!(refused.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn tensorflow_answers_a_prediction_by_version_and_label() {
    let server = Server::echo().await;
    for place in ["m", "m/versions/1", "m/labels/blue"] {
        let answer =
            server.post(&format!("/v1/models/{place}:predict"), r#"{"instances": [[1, 2]]}"#).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), json!({"predictions": [[3.0, 5.0]]}));
        assert!(answer.header("server-timing").contains("total;dur="));
    }
    let column = server.post("/v1/models/m:predict", r#"{"inputs": {"x": [[1, 2]]}}"#).await;
    assert_eq!(column.json(), json!({"outputs": [[3.0, 5.0]]}));
    server.stop().await;
}

#[tokio::test]
async fn tensorflow_tells_status_and_metadata() {
    let server = Server::echo().await;
    let versions = |answer: &crate::client::Answer| -> Vec<(String, String)> {
        let all = answer.json()["model_version_status"].as_array().unwrap().clone();
        let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        all.iter().map(|one| (word(&one["version"]), word(&one["state"]))).collect()
    };
    let all = server.get("/v1/models/m").await;
    assert_eq!(all.status, 200);
    assert_eq!(versions(&all), [("2".into(), "LOADING".into()), ("1".into(), "AVAILABLE".into())]);
    let one = server.get("/v1/models/m/labels/blue").await;
    assert_eq!(versions(&one), [("1".to_owned(), "AVAILABLE".to_owned())]);
    let metadata = server.get("/v1/models/m/metadata").await;
    assert_eq!(metadata.json()["model_spec"]["version"], "1");
    for (path, code, message) in [
        ("/v1/models/none", 404, "Could not find any versions of model none"),
        ("/v1/models/m/versions/9", 404, "Could not find version 9 of model m"),
        ("/v1/models/m/labels/red", 400, "Unrecognized servable version label"),
        ("/v1/models/none/metadata", 404, "Servable not found for request: Latest(none)"),
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/m:predict", 400, "Malformed request: GET /v1/models/m:predict"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, code, "{path}");
        assert!(answer.error().contains(message), "{path}: {}", answer.error());
    }
    server.stop().await;
}

#[tokio::test]
async fn tensorflow_has_its_own_manners() {
    let server = Server::echo().await;
    for verb in ["classify", "regress"] {
        let answer = server.post(&format!("/v1/models/m:{verb}"), "{}").await;
        assert_eq!(answer.status, 501);
        assert!(answer.error().contains(verb));
    }
    let path = "/v1/models/m:predict";
    let preflight = server.send(Method::OPTIONS, path, &[("origin", "https://page")], "").await;
    assert_eq!((preflight.status.as_u16(), preflight.body.len()), (200, 0));
    assert_eq!(server.send(Method::OPTIONS, path, &[], "").await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn predict_goes_to_the_default_model() {
    let server = Server::echo().await;
    let answer = server.post("/predict", r#"{"instances": [[1, 2]]}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["predictions"], json!([[3.0, 5.0]]));
    server.mock.change_catalog(|catalog| catalog.default_model = None);
    let nowhere = server.post("/predict", "{}").await;
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.error().contains("default model"));
    server.stop().await;
}

#[tokio::test]
async fn a_request_keeps_its_id_or_gets_one() {
    let server = Server::echo().await;
    let given = server.send(Method::GET, "/livez", &[("x-request-id", "mine-1")], "").await;
    assert_eq!(given.header("x-request-id"), "mine-1");
    let made = server.get("/nowhere").await;
    assert_eq!(made.status, 404);
    assert!(!made.header("x-request-id").is_empty());
    assert_ne!(made.header("x-request-id"), server.get("/livez").await.header("x-request-id"));
    server.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::echo().await;
    let answer = server.send(Method::HEAD, "/v2/health/ready", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), "14");
    server.stop().await;
}

#[tokio::test]
async fn server_timing_can_be_left_out() {
    let config = IngressConfig { server_timing: false, ..IngressConfig::default() };
    let server = Server::start(config, &[("m", Behaviour::Echo)]).await;
    let answer = server.post("/v2/models/m/infer", infer_body(1)).await;
    assert_eq!((answer.status.as_u16(), answer.header("server-timing")), (200, ""));
    server.stop().await;
}
