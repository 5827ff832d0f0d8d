//! Answers about the server and its models. The health bodies satisfy both readings of the protocol:
//! clients that look at the status only, and KServe's, which asks the JSON for `live` or `ready`.

use bytes::Bytes;
use serde::Serialize;
use tidegate_inference::{Dim, ModelName, Signature, TensorSpec, Version};

use crate::json::to_body;

#[derive(Serialize)]
struct ServerMetadata<'a> {
    name: &'a str,
    version: &'a str,
    extensions: &'a [&'a str],
}

#[derive(Serialize)]
struct ModelMetadata<'a> {
    name: &'a str,
    versions: Vec<String>,
    platform: &'a str,
    inputs: Vec<TensorMetadata<'a>>,
    outputs: Vec<TensorMetadata<'a>>,
}

#[derive(Serialize)]
struct TensorMetadata<'a> {
    name: &'a str,
    datatype: &'static str,
    /// -1 where any length goes.
    shape: Vec<i64>,
}

#[derive(Serialize)]
struct ModelList<'a> {
    models: Vec<&'a str>,
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
}

/// `GET /v2`
pub fn server_metadata(name: &str, version: &str, extensions: &[&str]) -> Bytes {
    to_body(&ServerMetadata { name, version, extensions })
}

/// `GET /v2/models/M[/versions/V]`
pub fn model_metadata(
    model: &ModelName,
    versions: &[Version],
    platform: &str,
    signature: &Signature,
) -> Bytes {
    to_body(&ModelMetadata {
        name: model.as_str(),
        versions: versions.iter().map(Version::to_string).collect(),
        platform,
        inputs: signature.inputs.iter().map(TensorMetadata::of).collect(),
        outputs: signature.outputs.iter().map(TensorMetadata::of).collect(),
    })
}

impl<'a> TensorMetadata<'a> {
    fn of(spec: &'a TensorSpec) -> Self {
        Self {
            name: &spec.name,
            datatype: spec.datatype.name(),
            shape: spec.shape.iter().map(|dim| dim_size(*dim)).collect(),
        }
    }
}

/// A dimension as both protocols show it: -1 where any length goes.
pub(crate) fn dim_size(dim: Dim) -> i64 {
    match dim {
        Dim::Fixed(length) => i64::try_from(length).unwrap_or(i64::MAX),
        Dim::Dynamic => -1,
    }
}

/// `GET /v2/models`: `{"models":[...]}`
pub fn model_list<'a>(models: impl IntoIterator<Item = &'a ModelName>) -> Bytes {
    to_body(&ModelList { models: models.into_iter().map(ModelName::as_str).collect() })
}

/// `GET /v2/health/live`: `{"live":true}`
pub fn live() -> Bytes {
    to_body(&Live { live: true })
}

/// `GET /v2/health/ready`: `{"ready":true}`, or with the reason why not: `{"ready":false,"error":"..."}`.
pub fn ready(refusal: Option<&str>) -> Bytes {
    to_body(&Ready { name: None, ready: refusal.is_none(), error: refusal })
}

/// `GET /v2/models/M[/versions/V]/ready`: as [`ready`], with the model's name.
pub fn model_ready(model: &str, refusal: Option<&str>) -> Bytes {
    to_body(&Ready { name: Some(model), ready: refusal.is_none(), error: refusal })
}

/// `{"error":"..."}`
pub fn error_body(message: &str) -> Bytes {
    to_body(&ErrorBody { error: message })
}

#[cfg(test)]
mod tests {
    use tidegate_inference::DataType;

    use super::*;

    #[test]
    fn model_metadata_shows_open_dimensions_as_minus_one_and_versions_as_strings() {
        let spec = |name: &str, shape: &[Dim]| TensorSpec {
            name: name.into(),
            datatype: DataType::Fp32,
            shape: shape.to_vec(),
        };
        let signature = Signature {
            inputs: vec![spec("x", &[Dim::Dynamic, Dim::Fixed(8)])],
            outputs: vec![spec("y", &[])],
        };
        let model = ModelName::new("m").unwrap();
        let versions = [Version::new(1).unwrap(), Version::new(12).unwrap()];
        assert_eq!(
            model_metadata(&model, &versions, "onnxruntime_onnx", &signature),
            r#"{"name":"m","versions":["1","12"],"platform":"onnxruntime_onnx","inputs":[{"name":"x","datatype":"FP32","shape":[-1,8]}],"outputs":[{"name":"y","datatype":"FP32","shape":[]}]}"#
        );
    }

    #[test]
    fn health_bodies_answer_kserves_question_and_say_why_not() {
        assert_eq!(live(), r#"{"live":true}"#);
        assert_eq!(ready(None), r#"{"ready":true}"#);
        assert_eq!(ready(Some("loading")), r#"{"ready":false,"error":"loading"}"#);
        assert_eq!(model_ready("m", None), r#"{"name":"m","ready":true}"#);
        assert_eq!(error_body("a \"b\""), r#"{"error":"a \"b\""}"#);
    }

    #[test]
    fn server_and_model_lists() {
        assert_eq!(
            server_metadata("tidegate", "0.1.0", &["binary_tensor_data"]),
            r#"{"name":"tidegate","version":"0.1.0","extensions":["binary_tensor_data"]}"#
        );
        assert_eq!(model_list([&ModelName::new("m").unwrap()]), r#"{"models":["m"]}"#);
    }
}
