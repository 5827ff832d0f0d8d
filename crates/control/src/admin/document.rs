//! The admin API's JSON documents.
//!
//! What `GET .../weights` answers, `PUT .../weights` takes: an operator may read, edit and send back.
//! (Only a version that has gone from the repository since is shown and then refused.)

use std::collections::BTreeMap;

use axum::Json;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tidegate_inference::{BatchingStatus, Dim, Signature, TensorSpec, Version, VersionEntry};

use crate::{Etag, ModelView};

pub fn tagged(etag: &Etag, document: Value) -> Response {
    ([(ETAG, etag.as_str())], Json(document)).into_response()
}

pub fn model(view: &ModelView) -> Value {
    let versions: Vec<Value> =
        view.entry.versions.iter().map(|(number, entry)| version(view, *number, entry)).collect();
    json!({
        "name": view.name.as_str(),
        "default": view.is_default,
        "etag": view.etag.as_str(),
        "labels": label_members(view),
        "weights": weight_members(view),
        "traffic_file": view.traffic_file,
        "traffic_problem": view.traffic_problem,
        "versions": versions,
    })
}

/// `{"weights": {"1": 90, "2": 10, "3": 0}}`; no members until weights were set or configured.
pub fn weights(view: &ModelView) -> Value {
    json!({ "weights": weight_members(view) })
}

pub fn labels(view: &ModelView) -> Value {
    json!({ "labels": label_members(view) })
}

/// What an operator lost against: everything under the tag.
pub fn traffic(view: &ModelView) -> Value {
    json!({
        "etag": view.etag.as_str(),
        "labels": label_members(view),
        "weights": weight_members(view),
    })
}

fn label_members(view: &ModelView) -> Map<String, Value> {
    view.entry
        .labels
        .iter()
        .map(|(label, version)| (label.to_string(), json!(version.get())))
        .collect()
}

/// Every version of the repository: that one gets nothing is worth seeing.
fn weight_members(view: &ModelView) -> Map<String, Value> {
    let set = &view.entry.weights;
    if set.is_empty() {
        return Map::new();
    }
    let mut all: BTreeMap<Version, u32> = view.entry.versions.keys().map(|n| (*n, 0)).collect();
    all.extend(set);
    all.into_iter().map(|(version, weight)| (version.to_string(), json!(weight))).collect()
}

fn version(view: &ModelView, number: Version, entry: &VersionEntry) -> Value {
    let labels: Vec<&str> = view
        .entry
        .labels
        .iter()
        .filter(|(_, version)| **version == number)
        .map(|(label, _)| label.as_str())
        .collect();
    json!({
        "version": number.get(),
        "state": entry.state.as_str(),
        "reason": entry.reason,
        "warnings": &*entry.warnings,
        "platform": entry.platform,
        "labels": labels,
        "weight": view.entry.weights.get(&number).copied().unwrap_or(0),
        "share": share(view, number),
        "batching": batching(&entry.batching),
        "signature": entry.signature.as_deref().map(signature),
    })
}

/// The part of the weighted requests that this version gets now.
fn share(view: &ModelView, number: Version) -> f64 {
    let sum: u32 = view.effective.values().sum();
    match view.effective.get(&number) {
        Some(weight) => f64::from(*weight) / f64::from(sum),
        None => 0.0,
    }
}

fn batching(status: &BatchingStatus) -> Value {
    match status {
        BatchingStatus::Unknown => Value::Null,
        BatchingStatus::Batched { max_batch_size } => {
            json!({ "batched": true, "max_batch_size": max_batch_size })
        }
        BatchingStatus::Unbatched { reason } => json!({ "batched": false, "reason": reason }),
    }
}

fn signature(signature: &Signature) -> Value {
    json!({
        "inputs": signature.inputs.iter().map(tensor).collect::<Vec<_>>(),
        "outputs": signature.outputs.iter().map(tensor).collect::<Vec<_>>(),
    })
}

fn tensor(spec: &TensorSpec) -> Value {
    let shape: Vec<Value> = spec
        .shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(length) => json!(length),
            Dim::Dynamic => json!(-1),
        })
        .collect();
    json!({ "name": &*spec.name, "datatype": spec.datatype.name(), "shape": shape })
}
