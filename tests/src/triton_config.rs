//! A repository that came from Triton: its `config.pbtxt` holds, on a real model, and the gateway tells it back in
//! Triton's own form.

use std::path::Path;

use serde_json::{Value, json};

use crate::process::{self, Process, onnxruntime};

const HONOURED: &str = r#"
name: "affine"
platform: "onnxruntime_onnx"
max_batch_size: 16
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] } ]
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 500 }
instance_group [ { count: 1 kind: KIND_CPU } ]
model_warmup { name: "zeros" batch_size: 2 inputs { key: "x" value { data_type: TYPE_FP32 dims: 4 zero_data: true } } }
response_cache { enable: true }
"#;

/// Two test models, of which `renamed` has a claim that does not hold.
fn serving(folder: &Path, more: &[&str]) -> Process {
    let mut command = process::command();
    command.arg("serve").args(process::fixtures(folder, &["affine", "renamed"])).args(more);
    let repository = folder.join("repository");
    std::fs::write(repository.join("affine/config.pbtxt"), HONOURED).unwrap();
    let claim = r#"max_batch_size: 8 output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }"#;
    std::fs::write(repository.join("renamed/config.pbtxt"), claim).unwrap();
    let mut gateway = Process::start(command);
    gateway.until_ready();
    gateway
}

async fn get(gateway: &Process, path: &str) -> Value {
    gateway.client.get(&gateway.data(path)).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_from_triton_runs_as_its_configuration_says_and_shows_it() {
    if onnxruntime().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let gateway = serving(folder.path(), &[]);
    let config = get(&gateway, "/v2/models/affine/config").await;
    assert_eq!(config, get(&gateway, "/v2/models/affine/versions/1/config").await);
    assert_eq!(
        (&config["max_batch_size"], &config["backend"]),
        (&json!(16), &json!("onnxruntime"))
    );
    assert_eq!(config["input"][0]["dims"], json!([4]));
    assert_eq!(config["dynamic_batching"]["preferred_batch_size"], json!([8]));
    assert_eq!(config["dynamic_batching"]["max_queue_delay_microseconds"], json!(500));
    assert_eq!(config["instance_group"][0]["count"], json!(1));

    let admin = |model: &str| gateway.admin(&format!("/admin/v1/models/{model}"));
    let affine = gateway.client.get(&admin("affine")).await.expect(200).json();
    let warned = "config.pbtxt line 10: field 'response_cache' is not honoured";
    assert_eq!(affine["versions"][0]["warnings"], json!([warned]));
    let renamed = gateway.client.get(&admin("renamed")).await.expect(200).json();
    let reason = "config.pbtxt line 1: output 'y' is claimed, the model has 'doubled', 's'";
    assert_eq!(renamed["versions"][0]["state"], "failed");
    assert_eq!(renamed["versions"][0]["reason"], reason);
    assert_eq!(gateway.client.get(&gateway.data("/v2/models/renamed/config")).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_holds_over_the_models_own_configuration() {
    if onnxruntime().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let gateway = serving(folder.path(), &["--max-batch-size", "8", "--batch-size", "2"]);
    let config = get(&gateway, "/v2/models/affine/config").await;
    assert_eq!(config["max_batch_size"], json!(8));
    assert_eq!(config["dynamic_batching"]["preferred_batch_size"], json!([2]));
    assert_eq!(config["dynamic_batching"]["max_queue_delay_microseconds"], json!(500));
}
