//! The wire formats as a client speaks them: requests written, answers read. The translation itself is
//! `tidegate-proto`'s; here it is put into paths, headers and endings.

mod grpc;
mod open_inference;
mod open_inference_grpc;
mod status;
mod tensorflow;
mod tensorflow_grpc;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tidegate_inference::{Parameters, Signature, Statistics, Tensor, TensorSpec};

use super::address::{Protocol, Target};
use crate::Failure;
use crate::question::{Answer, Ending, Prepared};

/// What the server said instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) ending: Ending,
    /// In the server's words.
    pub(super) detail: String,
}

/// One protocol, spoken to one model.
pub(super) trait Format: Send + Sync {
    fn request(&self, inputs: &[Tensor], parameters: &Parameters) -> Result<Prepared, Failure>;

    /// A body that is sent as it is; `json_length` where tensors follow its JSON. `None` where the wire is
    /// another than that of files, so that their tensors have to be read and written again.
    fn verbatim(&self, body: Bytes, json_length: Option<usize>) -> Option<Prepared>;

    fn metadata_request(&self) -> (Method, Prepared);

    /// The contract that an answer to [`Format::metadata_request`] tells.
    fn signature(&self, answer: &Answer) -> Result<Signature, Failure>;

    /// `None` when the answer is one.
    fn refusal(&self, answer: &Answer) -> Option<Refusal>;

    /// The version of the model that answered; cheap, and silent when the answer does not tell.
    fn version(&self, answer: &Answer) -> Option<u64>;

    /// The outputs, or why they cannot be read. `specs` are the model's, where they had to be asked for.
    fn outputs(&self, answer: &Answer, specs: &[TensorSpec]) -> Result<Vec<Tensor>, String>;

    /// Where the protocol has Triton's statistics.
    fn statistics_request(&self) -> Option<(Method, Prepared)> {
        None
    }

    fn statistics(&self, _answer: &Answer) -> Option<Vec<Statistics>> {
        None
    }
}

/// What every request to a target has besides its tensors.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    pub(super) headers: HeaderMap,
    pub(super) signature_name: Option<String>,
}

impl Manner {
    fn prepared(&self, path: String, body: Bytes, own: &[(HeaderName, HeaderValue)]) -> Prepared {
        let mut headers: HeaderMap = own.iter().cloned().collect();
        headers.extend(self.headers.clone());
        Prepared { path, headers, body }
    }
}

pub(super) fn format(target: &Target, manner: Manner) -> Arc<dyn Format> {
    match target.protocol {
        Protocol::OpenInferenceJson => {
            Arc::new(open_inference::OpenInference::new(target, manner, false))
        }
        Protocol::OpenInferenceBinary => {
            Arc::new(open_inference::OpenInference::new(target, manner, true))
        }
        Protocol::TensorFlowRest => Arc::new(tensorflow::TensorFlow::new(target, manner)),
        Protocol::OpenInferenceGrpc => {
            Arc::new(open_inference_grpc::OpenInferenceGrpc::new(target, manner))
        }
        Protocol::TensorFlowGrpc => Arc::new(tensorflow_grpc::TensorFlowGrpc::new(target, manner)),
    }
}

/// TensorFlow Serving's requests have none.
fn refuse_parameters(parameters: &Parameters) -> Result<(), Failure> {
    if parameters.is_empty() {
        return Ok(());
    }
    Err("--parameter: TensorFlow Serving's requests have no parameters".into())
}
