//! TensorFlow Serving's REST API. Answers name neither datatypes nor versions.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use tidegate_inference::{Parameters, Signature, Tensor, TensorSpec};
use tidegate_proto::JsonLimits;
use tidegate_proto::tensorflow_serving::{Form, decode_metadata, decode_response, encode_request};

use super::super::address::Target;
use super::{Format, Manner, Refusal, status};
use crate::Failure;
use crate::question::{Answer, Prepared};

pub(super) struct TensorFlow {
    path: String,
    manner: Manner,
}

impl TensorFlow {
    pub(super) fn new(target: &Target, manner: Manner) -> Self {
        Self { path: target.path(), manner }
    }

    fn predict(&self, body: Bytes) -> Prepared {
        let json = HeaderValue::from_static("application/json");
        self.manner.prepared(format!("{}:predict", self.path), body, &[(CONTENT_TYPE, json)])
    }
}

/// Rows, as most clients send; whole tensors where inputs have no rows in common.
fn form(inputs: &[Tensor]) -> Form {
    let mut rows = inputs.iter().map(|input| input.shape().first());
    let first = rows.next().flatten();
    if first.is_some() && rows.all(|rows| rows == first) { Form::Row } else { Form::Column }
}

impl Format for TensorFlow {
    fn request(&self, inputs: &[Tensor], parameters: &Parameters) -> Result<Prepared, Failure> {
        super::refuse_parameters(parameters)?;
        let body = encode_request(form(inputs), inputs, self.manner.signature_name.as_deref());
        Ok(self.predict(body.map_err(|error| error.to_string())?))
    }

    fn verbatim(&self, body: Bytes, json_length: Option<usize>) -> Option<Prepared> {
        json_length.is_none().then(|| self.predict(body))
    }

    fn metadata_request(&self) -> (Method, Prepared) {
        let path = format!("{}/metadata", self.path);
        (Method::GET, self.manner.prepared(path, Bytes::new(), &[]))
    }

    fn signature(&self, answer: &Answer) -> Result<Signature, Failure> {
        decode_metadata(&answer.body, self.manner.signature_name.as_deref())
            .map_err(|error| Failure::new(error.to_string()))
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        status::http_refusal(answer)
    }

    fn version(&self, _answer: &Answer) -> Option<u64> {
        None
    }

    fn outputs(&self, answer: &Answer, specs: &[TensorSpec]) -> Result<Vec<Tensor>, String> {
        decode_response(&answer.body, specs, JsonLimits::default())
            .map_err(|error| error.to_string())
    }
}
