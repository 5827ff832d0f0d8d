//! Open Inference Protocol v2 over gRPC.

use bytes::Bytes;
use http::Method;
use tidegate_inference::{Parameters, Signature, Statistics, Tensor, TensorSpec};
use tidegate_proto::grpc::inference::{
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelStatisticsRequest,
    ModelStatisticsResponse,
};
use tidegate_proto::grpc::open_inference::{
    decode_metadata, decode_response, decode_statistics, encode_request,
};
use tidegate_proto::grpc::{frame, unframe};

use super::super::address::{Asked, Target};
use super::grpc::{call, refusal};
use super::{Format, Manner, Refusal};
use crate::Failure;
use crate::question::{Answer, Prepared};

pub(super) struct OpenInferenceGrpc {
    model: String,
    /// Empty leaves it to the server.
    version: String,
    manner: Manner,
}

impl OpenInferenceGrpc {
    pub(super) fn new(target: &Target, manner: Manner) -> Self {
        let version = match &target.version {
            Asked::Version(version) => version.clone(),
            Asked::Any | Asked::Label(_) => String::new(),
        };
        Self { model: target.model.clone(), version, manner }
    }

    fn call(&self, method: &str, message: Bytes) -> Prepared {
        call(&self.manner, &format!("/inference.GRPCInferenceService/{method}"), message)
    }
}

impl Format for OpenInferenceGrpc {
    fn request(&self, inputs: &[Tensor], parameters: &Parameters) -> Result<Prepared, Failure> {
        let request = encode_request(&self.model, &self.version, inputs, parameters);
        Ok(self.call("ModelInfer", frame(&request.map_err(|error| error.to_string())?)))
    }

    fn verbatim(&self, _body: Bytes, _json_length: Option<usize>) -> Option<Prepared> {
        None
    }

    fn metadata_request(&self) -> (Method, Prepared) {
        let request =
            ModelMetadataRequest { name: self.model.clone(), version: self.version.clone() };
        (Method::POST, self.call("ModelMetadata", frame(&request)))
    }

    fn signature(&self, answer: &Answer) -> Result<Signature, Failure> {
        unframe::<ModelMetadataResponse>(&answer.body)
            .and_then(|metadata| decode_metadata(&metadata))
            .map_err(|error| Failure::new(error.to_string()))
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal(answer)
    }

    fn version(&self, answer: &Answer) -> Option<u64> {
        unframe::<ModelInferResponse>(&answer.body).ok()?.model_version.parse().ok()
    }

    fn outputs(&self, answer: &Answer, _specs: &[TensorSpec]) -> Result<Vec<Tensor>, String> {
        unframe::<ModelInferResponse>(&answer.body)
            .and_then(decode_response)
            .map_err(|error| error.to_string())
    }

    fn statistics_request(&self) -> Option<(Method, Prepared)> {
        let request =
            ModelStatisticsRequest { name: self.model.clone(), version: self.version.clone() };
        Some((Method::POST, self.call("ModelStatistics", frame(&request))))
    }

    fn statistics(&self, answer: &Answer) -> Option<Vec<Statistics>> {
        unframe::<ModelStatisticsResponse>(&answer.body).ok().map(decode_statistics)
    }
}
