//! Open Inference Protocol v2 over REST, with Triton's binary tensor extension both ways.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_inference::{Error, ModelName, Parameters, Signature, Tensor, Version};

use crate::{DecodeError, JsonLimits};

/// Name of the header that says how many bytes of a body are JSON, in requests and responses.
pub const JSON_LENGTH_HEADER: &str = "inference-header-content-length";

/// Value of `Inference-Header-Content-Length`; 0 is a raw binary request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLength(i32);

impl HeaderLength {
    /// From the header's text.
    pub fn parse(_text: &[u8]) -> Result<Self, DecodeError> {
        unimplemented!("body follows")
    }
}

#[derive(Clone, Debug)]
pub struct InferRequest {
    pub parameters: Parameters,
    pub inputs: Vec<Tensor>,
    /// How the caller wants the answer; kept aside for [`encode_infer`].
    pub reply: Reply,
}

/// How the caller wants the answer written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Echoed when given.
    pub id: Option<String>,
    /// In this order; empty means all.
    pub outputs: Vec<RequestedOutput>,
    /// `binary_data_output`: for every output that does not say.
    pub binary_default: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedOutput {
    pub name: Arc<str>,
    /// `binary_data`
    pub binary: Option<bool>,
    /// `classification`: the best so many as `"value:index"`, instead of the tensor.
    pub classification: Option<usize>,
}

impl Reply {
    /// The outputs to ask the model for (`Request::outputs`).
    pub fn output_names(&self) -> Vec<Arc<str>> {
        self.outputs.iter().map(|output| Arc::clone(&output.name)).collect()
    }
}

/// A response body in pieces: JSON first, then binary outputs, which are not copied.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// Value for [`JSON_LENGTH_HEADER`] when binary follows.
    pub json_length: Option<usize>,
    pub chunks: Vec<Bytes>,
}

impl Encoded {
    pub fn content_type(&self) -> &'static str {
        if self.json_length.is_some() { "application/octet-stream" } else { "application/json" }
    }

    /// Bytes of all chunks together.
    pub fn byte_size(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

/// Decodes an infer request (decompressed). `json_length` is the header's value, if it was sent;
/// the signature is only consulted for raw binary requests.
pub fn decode_infer(
    _body: &Bytes,
    _json_length: Option<HeaderLength>,
    _signature: &Signature,
    _limits: JsonLimits,
) -> Result<InferRequest, DecodeError> {
    unimplemented!("body follows")
}

/// `outputs` as the model answered them, in the order of `reply` (or the model's when it names none).
pub fn encode_infer(
    _model: &ModelName,
    _version: Version,
    _reply: &Reply,
    _outputs: &[Tensor],
) -> Result<Encoded, Error> {
    unimplemented!("body follows")
}

/// `GET /v2`
pub fn server_metadata(_name: &str, _version: &str, _extensions: &[&str]) -> Bytes {
    unimplemented!("body follows")
}

/// `GET /v2/models/M[/versions/V]`
pub fn model_metadata(
    _model: &ModelName,
    _versions: &[Version],
    _platform: &str,
    _signature: &Signature,
) -> Bytes {
    unimplemented!("body follows")
}

/// `GET /v2/models`: `{"models":[...]}`
pub fn model_list<'a>(_models: impl IntoIterator<Item = &'a ModelName>) -> Bytes {
    unimplemented!("body follows")
}

/// `GET /v2/health/live`: `{"live":true}`
pub fn live() -> Bytes {
    unimplemented!("body follows")
}

/// `GET /v2/health/ready`: `{"ready":true}`, or with the reason why not: `{"ready":false,"error":"..."}`.
pub fn ready(_refusal: Option<&str>) -> Bytes {
    unimplemented!("body follows")
}

/// `GET /v2/models/M[/versions/V]/ready`: as [`ready`], with the model's name.
pub fn model_ready(_model: &str, _refusal: Option<&str>) -> Bytes {
    unimplemented!("body follows")
}

/// `{"error":"..."}`
pub fn error_body(_message: &str) -> Bytes {
    unimplemented!("body follows")
}
