//! TensorFlow Serving's REST API: `:predict` in row and column form, model status and metadata.
//! Paths and statuses are the caller's; a model has the one signature `serving_default`.

use bytes::Bytes;
use tidegate_inference::{Error, ModelName, Signature, Tensor, Version, VersionEntry};

use crate::{DecodeError, JsonLimits};

/// How inputs were given, hence how outputs are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `instances` and `predictions`: a list of rows.
    Row,
    /// `inputs` and `outputs`: whole tensors.
    Column,
}

#[derive(Clone, Debug)]
pub struct PredictRequest {
    pub form: Form,
    pub inputs: Vec<Tensor>,
}

pub fn decode_predict(
    _body: &[u8],
    _signature: &Signature,
    _limits: JsonLimits,
) -> Result<PredictRequest, DecodeError> {
    unimplemented!("body follows")
}

/// # Errors
/// In row form, when outputs disagree about the number of rows.
pub fn encode_predict(_form: Form, _outputs: &[Tensor]) -> Result<Bytes, Error> {
    unimplemented!("body follows")
}

/// `GET /v1/models/M[/versions/V|/labels/L]`: these versions, newest first.
pub fn model_status<'a>(_versions: impl IntoIterator<Item = (Version, &'a VersionEntry)>) -> Bytes {
    unimplemented!("body follows")
}

/// `GET /v1/models/M[/versions/V|/labels/L]/metadata`
pub fn model_metadata(_model: &ModelName, _version: Version, _signature: &Signature) -> Bytes {
    unimplemented!("body follows")
}

/// `{ "error": "..." }`
pub fn error_body(_message: &str) -> Bytes {
    unimplemented!("body follows")
}
