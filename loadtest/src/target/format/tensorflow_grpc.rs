//! TensorFlow Serving's PredictionService.

use bytes::Bytes;
use http::Method;
use tidegate_inference::{Parameters, Signature, Tensor, TensorSpec};
use tidegate_proto::grpc::tensorflow::serving::{GetModelMetadataResponse, PredictResponse};
use tidegate_proto::grpc::tensorflow_serving::{
    self as wire, answering_version, decode_metadata, decode_response, encode_request,
    metadata_request,
};
use tidegate_proto::grpc::{frame, unframe};

use super::super::address::{Asked, Target};
use super::grpc::{call, refusal};
use super::{Format, Manner, Refusal};
use crate::Failure;
use crate::question::{Answer, Prepared};

pub(super) struct TensorFlowGrpc {
    asked: wire::Asked,
    manner: Manner,
}

impl TensorFlowGrpc {
    pub(super) fn new(target: &Target, manner: Manner) -> Self {
        let mut asked = wire::Asked {
            model: target.model.clone(),
            signature_name: manner.signature_name.clone().unwrap_or_default(),
            ..wire::Asked::default()
        };
        match &target.version {
            Asked::Any => {}
            // The target was not taken unless it is a number.
            Asked::Version(version) => asked.version = version.parse().ok(),
            Asked::Label(label) => asked.label = Some(label.clone()),
        }
        Self { asked, manner }
    }

    fn call(&self, method: &str, message: Bytes) -> Prepared {
        call(&self.manner, &format!("/tensorflow.serving.PredictionService/{method}"), message)
    }
}

impl Format for TensorFlowGrpc {
    fn request(&self, inputs: &[Tensor], parameters: &Parameters) -> Result<Prepared, Failure> {
        super::refuse_parameters(parameters)?;
        Ok(self.call("Predict", frame(&encode_request(&self.asked, inputs))))
    }

    fn verbatim(&self, _body: Bytes, _json_length: Option<usize>) -> Option<Prepared> {
        None
    }

    fn metadata_request(&self) -> (Method, Prepared) {
        (Method::POST, self.call("GetModelMetadata", frame(&metadata_request(&self.asked))))
    }

    fn signature(&self, answer: &Answer) -> Result<Signature, Failure> {
        let name = self.manner.signature_name.as_deref();
        unframe::<GetModelMetadataResponse>(&answer.body)
            .and_then(|metadata| decode_metadata(&metadata, name))
            .map_err(|error| Failure::new(error.to_string()))
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal(answer)
    }

    fn version(&self, answer: &Answer) -> Option<u64> {
        answering_version(&unframe::<PredictResponse>(&answer.body).ok()?)
    }

    fn outputs(&self, answer: &Answer, _specs: &[TensorSpec]) -> Result<Vec<Tensor>, String> {
        unframe::<PredictResponse>(&answer.body)
            .and_then(decode_response)
            .map_err(|error| error.to_string())
    }
}
