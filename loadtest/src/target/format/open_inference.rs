//! Open Inference Protocol v2 over REST, in JSON or with binary tensors.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use tidegate_inference::{Parameters, Signature, Statistics, Tensor, TensorSpec};
use tidegate_proto::JsonLimits;
use tidegate_proto::open_inference::{
    HeaderLength, JSON_LENGTH_HEADER, answering_version, decode_metadata, decode_response,
    decode_statistics, encode_request,
};

use super::super::address::Target;
use super::{Format, Manner, Refusal, status};
use crate::Failure;
use crate::question::{Answer, Prepared};

pub(super) struct OpenInference {
    path: String,
    manner: Manner,
    binary: bool,
}

impl OpenInference {
    pub(super) fn new(target: &Target, manner: Manner, binary: bool) -> Self {
        Self { path: target.path(), manner, binary }
    }

    fn infer(&self, body: Bytes, json_length: Option<usize>) -> Prepared {
        let json = HeaderValue::from_static("application/json");
        let octets = HeaderValue::from_static("application/octet-stream");
        let length = HeaderName::from_static(JSON_LENGTH_HEADER);
        let path = format!("{}/infer", self.path);
        match json_length {
            None => self.manner.prepared(path, body, &[(CONTENT_TYPE, json)]),
            Some(json_length) => {
                let own = [(CONTENT_TYPE, octets), (length, json_length.into())];
                self.manner.prepared(path, body, &own)
            }
        }
    }
}

impl Format for OpenInference {
    fn request(&self, inputs: &[Tensor], parameters: &Parameters) -> Result<Prepared, Failure> {
        let encoded = encode_request(inputs, parameters, self.binary)
            .map_err(|error| Failure::new(format!("{error}: pass --binary")))?;
        Ok(self.infer(encoded.chunks.concat().into(), encoded.json_length))
    }

    /// JSON is written again where binary was asked for.
    fn verbatim(&self, body: Bytes, json_length: Option<usize>) -> Option<Prepared> {
        (json_length.is_some() || !self.binary).then(|| self.infer(body, json_length))
    }

    fn metadata_request(&self) -> (Method, Prepared) {
        (Method::GET, self.manner.prepared(self.path.clone(), Bytes::new(), &[]))
    }

    fn signature(&self, answer: &Answer) -> Result<Signature, Failure> {
        let metadata = decode_metadata(&answer.body).map_err(|error| error.to_string())?;
        Ok(metadata.signature)
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        status::http_refusal(answer)
    }

    fn version(&self, answer: &Answer) -> Option<u64> {
        answering_version(&answer.body, JsonLimits::default())
    }

    fn outputs(&self, answer: &Answer, _specs: &[TensorSpec]) -> Result<Vec<Tensor>, String> {
        let length = answer.headers.get(JSON_LENGTH_HEADER).map(HeaderValue::as_bytes);
        let length = length.map(HeaderLength::parse).transpose();
        length
            .and_then(|length| decode_response(&answer.body, length, JsonLimits::default()))
            .map_err(|error| error.to_string())
    }

    fn statistics_request(&self) -> Option<(Method, Prepared)> {
        let path = format!("{}/stats", self.path);
        Some((Method::GET, self.manner.prepared(path, Bytes::new(), &[])))
    }

    fn statistics(&self, answer: &Answer) -> Option<Vec<Statistics>> {
        decode_statistics(&answer.body).ok()
    }
}
