//! The same rows in each of the wire formats: out as a request, back as an answer's rows.
//!
//! The model of these tests has one input `x` and one output `y`, both FP32 `[rows, 2]`.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::client::{Answer, Outgoing, request};

pub type Row = [f32; 2];

const JSON_LENGTH: &str = "inference-header-content-length";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    V2Json,
    V2Binary,
    TfRow,
    TfColumn,
    Predict,
}

impl Format {
    pub const ALL: [Self; 5] =
        [Self::V2Json, Self::V2Binary, Self::TfRow, Self::TfColumn, Self::Predict];

    /// To the model `m` of the gateway at `address`, which chooses the version.
    pub fn request(self, address: impl std::fmt::Display, rows: &[Row]) -> Outgoing {
        let url = |path: &str| format!("http://{address}{path}");
        match self {
            Self::V2Json => request(Method::POST, &url("/v2/models/m/infer"), v2_json(rows)),
            Self::V2Binary => v2_binary(&url("/v2/models/m/infer"), rows),
            Self::TfRow => {
                let body = json!({ "instances": rows }).to_string();
                request(Method::POST, &url("/v1/models/m:predict"), body)
            }
            Self::TfColumn => {
                let body = json!({ "inputs": rows }).to_string();
                request(Method::POST, &url("/v1/models/m:predict"), body)
            }
            Self::Predict => {
                let body = json!({ "instances": rows }).to_string();
                request(Method::POST, &url("/predict"), body)
            }
        }
    }

    #[track_caller]
    pub fn rows(self, answer: &Answer) -> Vec<Row> {
        assert_eq!(answer.status, 200, "{self:?}: {}", answer.text());
        match self {
            Self::V2Binary => rows_of_bytes(&answer.body[json_length(answer)..]),
            Self::V2Json => {
                let flat: Vec<f32> = values(&answer.json()["outputs"][0]["data"]);
                flat.as_chunks::<2>().0.to_vec()
            }
            Self::TfColumn => values(&answer.json()["outputs"]),
            Self::TfRow | Self::Predict => values(&answer.json()["predictions"]),
        }
    }

    /// The version that the answer names; TensorFlow Serving's and `/predict`'s name none.
    pub fn version(self, answer: &Answer) -> Option<u64> {
        let json = match self {
            Self::V2Json => answer.json(),
            Self::V2Binary => serde_json::from_slice(&answer.body[..json_length(answer)]).unwrap(),
            Self::TfRow | Self::TfColumn | Self::Predict => return None,
        };
        Some(json["model_version"].as_str().unwrap().parse().unwrap())
    }
}

pub fn v2_json(rows: &[Row]) -> String {
    let data = rows.as_flattened();
    json!({ "inputs": [{ "name": "x", "datatype": "FP32", "shape": [rows.len(), 2], "data": data }] })
        .to_string()
}

fn v2_binary(url: &str, rows: &[Row]) -> Outgoing {
    let tensor: Vec<u8> = rows.as_flattened().iter().flat_map(|x| x.to_le_bytes()).collect();
    let input = json!({
        "name": "x", "datatype": "FP32", "shape": [rows.len(), 2],
        "parameters": { "binary_data_size": tensor.len() },
    });
    let head = json!({ "inputs": [input], "parameters": { "binary_data_output": true } });
    let head = head.to_string();
    Request::post(url)
        .header(JSON_LENGTH, head.len())
        .header("content-type", "application/octet-stream")
        .body(Full::new(Bytes::from([head.as_bytes(), &tensor].concat())))
        .unwrap()
}

fn json_length(answer: &Answer) -> usize {
    answer.header(JSON_LENGTH).expect("a binary answer").parse().unwrap()
}

fn rows_of_bytes(bytes: &[u8]) -> Vec<Row> {
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    values.as_chunks::<2>().0.to_vec()
}

#[track_caller]
fn values<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}
