//! Real models that must not share batches do not, models that cannot be served are refused with the reason,
//! and what is batched along odd axes is answered as if it had been alone.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::process::{self, Process, onnxruntime};
use crate::scrape::Scrape;

fn serving(folder: &std::path::Path, models: &[&str], more: &[&str]) -> Process {
    let mut command = process::command();
    command.arg("serve").args(process::fixtures(folder, models)).args(more);
    let mut gateway = Process::start(command);
    gateway.until_ready();
    gateway
}

async fn version(gateway: &Process, model: &str) -> Value {
    let url = gateway.admin(&format!("/admin/v1/models/{model}"));
    gateway.client.get(&url).await.expect(200).json()["versions"][0].clone()
}

async fn scrape(gateway: &Process) -> Scrape {
    Scrape::of(gateway.client.get(&gateway.admin("/metrics")).await.expect(200).text())
}

/// FP32 `x` of this shape and values of its own.
fn tensor(name: &str, shape: &[usize], start: f32) -> Value {
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|at: usize| start + at as f32 / 8.0).collect();
    json!({ "name": name, "datatype": "FP32", "shape": shape, "data": values })
}

async fn infer(gateway: &Process, model: &str, inputs: &[Value]) -> crate::client::Answer {
    let url = gateway.data(&format!("/v2/models/{model}/infer"));
    gateway.client.post(&url, json!({ "inputs": inputs }).to_string()).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn models_whose_rows_cannot_share_a_batch_say_why_and_serve_one_request_at_a_time() {
    if onnxruntime().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unbatched =
        ["time_axis", "cross_row", "reshape_batch1", "dynamic_int8", "fixed_batch", "no_batch"];
    let gateway = serving(folder.path(), &[&unbatched[..], &["affine"]].concat(), &[]);
    let metrics = scrape(&gateway).await;
    for model in unbatched {
        let version = version(&gateway, model).await;
        assert_eq!(version["state"], "ready", "{version}");
        assert_eq!(version["batching"]["batched"], false, "{version}");
        let reason = version["batching"]["reason"].as_str().unwrap();
        assert!(reason.len() > 20, "{model}: {reason}");
        let labels = [&*format!("model=\"{model}\"")];
        assert_eq!(metrics.sum("tidegate_version_unbatched", &labels), 1.0, "{model}");
    }
    assert_eq!(version(&gateway, "affine").await["batching"]["batched"], true);
    assert_eq!(metrics.sum("tidegate_version_unbatched", &["model=\"affine\""]), 0.0);

    // Many at once: every answer is what the request gets alone.
    let mut answers = JoinSet::new();
    for number in 0..16_u8 {
        let (client, url) = (gateway.client.clone(), gateway.data("/v2/models/time_axis/infer"));
        answers.spawn(async move {
            let start = f32::from(number);
            let input = json!({
                "name": "x", "datatype": "FP32", "shape": [2, 4],
                "data": [start, 0, 0, 0, 1, 1, 1, 1],
            });
            let answer = client.post(&url, json!({ "inputs": [input] }).to_string()).await;
            let expected = json!([start, 0.0, 0.0, 0.0, start + 1.0, 1.0, 1.0, 1.0]);
            assert_eq!(answer.expect(200).json()["outputs"][0]["data"], expected);
        });
    }
    answers.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_cannot_be_served_are_refused_with_the_reason_and_the_others_serve() {
    if onnxruntime().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let refused = [
        ("seq_map", "'scores' is not a tensor"),
        ("custom_op", "com.example.vision"),
        ("new_ir", "IR version"),
        ("locale", "xx_YY"),
        ("not_onnx", ""),
        ("truncated", ""),
    ];
    let names: Vec<&str> = refused.iter().map(|(name, _)| *name).chain(["affine"]).collect();
    let gateway = serving(folder.path(), &names, &[]);
    for (model, said) in refused {
        let version = version(&gateway, model).await;
        assert_eq!(version["state"], "failed", "{model}: {version}");
        let reason = version["reason"].as_str().unwrap();
        assert!(reason.contains(said) && reason.len() > 20, "{model}: {reason}");
        let url = gateway.data(&format!("/v2/models/{model}/infer"));
        let body = json!({ "inputs": [tensor("x", &[1, 4], 0.0)] }).to_string();
        let answer = gateway.client.post(&url, body).await.expect(503);
        assert!(answer.error().contains(model), "{}", answer.error());
        assert!(answer.header("retry-after").is_some());
        let url = gateway.data(&format!("/v2/models/{model}/versions/1/infer"));
        let answer = gateway.client.post(&url, "{}").await.expect(503);
        assert!(answer.error().contains(reason), "{}", answer.error());
    }
    let answer = infer(&gateway, "affine", &[tensor("x", &[1, 4], 0.0)]).await;
    assert_eq!(answer.json()["outputs"][0]["data"], json!([1.0, 1.25, 1.5, 1.75]));
}

/// The inputs of the n-th request to each model whose rows lie where one would not look for them.
fn odd(model: &str, number: usize) -> Vec<Value> {
    let start = number as f32 * 1.1;
    match model {
        "axis1_state" => {
            vec![tensor("x", &[1, 3], start), tensor("state", &[2, 1, 3], -3.0 * start)]
        }
        // Only requests with an equal scale may share a batch.
        "shared_scalar" => vec![
            tensor("x", &[1, 4], start),
            json!({ "name": "scale", "datatype": "FP32", "shape": [], "data": [0.7] }),
        ],
        _ => vec![tensor("x", &[1, 4], start)],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_along_any_axis_are_answered_in_a_batch_bit_for_bit_as_alone() {
    if onnxruntime().is_none() {
        return;
    }
    const TOGETHER: usize = 4;
    let models = ["axis1_state", "rows_out_axis1", "shared_scalar", "affine"];
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let alone = serving(folders[0].path(), &models, &["--max-batch-size", "1"]);
    // Nothing goes before four are together.
    let four = ["--batch-size", "4", "--max-batch-size", "4", "--max-queue-delay", "20s"];
    let batched = serving(folders[1].path(), &models, &four);
    for model in models {
        assert_eq!(version(&batched, model).await["batching"]["batched"], true, "{model}");
        let together = (0..TOGETHER).map(|number| infer_owned(&batched, model, number));
        let together: Vec<_> = together.collect::<JoinSet<_>>().join_all().await;
        for (number, answer) in together {
            let timing = answer.header("server-timing").unwrap();
            assert!(timing.contains("batch-size;desc=\"4\""), "{model}: {timing}");
            let expected = infer(&alone, model, &odd(model, number)).await;
            let timing = expected.header("server-timing").unwrap();
            assert!(timing.contains("batch-size;desc=\"1\""), "{model}: {timing}");
            // JSON numbers are the shortest that read back as the same float: equal text, equal bits.
            assert_eq!(answer.text(), expected.text(), "{model}");
        }
    }
}

fn infer_owned(
    gateway: &Process,
    model: &str,
    number: usize,
) -> impl Future<Output = (usize, crate::client::Answer)> + Send + 'static {
    let url = gateway.data(&format!("/v2/models/{model}/infer"));
    let body = json!({ "inputs": odd(model, number) }).to_string();
    let client = gateway.client.clone();
    async move { (number, client.post(&url, body).await.expect(200)) }
}
