//! The wire formats of an inference request, under one roof: the walk of a request is the same for all of
//! them, and only asks "decode this" and "encode that".

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use tidegate_inference::{
    Entrypoint, Error, ModelName, Parameters, Result, Signature, Tensor, Version,
};
use tidegate_proto::grpc::open_inference::Within;
use tidegate_proto::open_inference::{Encoded, HeaderLength, JSON_LENGTH_HEADER};
use tidegate_proto::shared_memory::Regions;
use tidegate_proto::{DecodeError, JsonLimits, grpc, open_inference, predict, tensorflow_serving};

use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::status::Contract;

/// Of the binary tensor extension, in requests and in answers.
pub const JSON_LENGTH: HeaderName = HeaderName::from_static(JSON_LENGTH_HEADER);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Open Inference Protocol; with the header of the binary tensor extension, if it was sent.
    OpenInference(Option<HeaderLength>),
    TensorFlow,
    Predict,
}

/// A decoded body, and how its answer is to be written.
pub struct Decoded {
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Arc<str>>,
    pub parameters: Parameters,
    pub form: ReplyForm,
    /// For the answer.
    pub compression: Option<Encoding>,
}

pub enum ReplyForm {
    OpenInference(open_inference::Reply),
    TensorFlow(tensorflow_serving::Form),
    Predict(predict::Samples),
    GrpcOpenInference(open_inference::Reply, Within),
    GrpcTensorFlow,
}

impl Format {
    /// # Errors
    /// A header of the binary tensor extension that is no number.
    pub fn open_inference(headers: &HeaderMap) -> Result<Self, Failure> {
        headers
            .get(JSON_LENGTH)
            .map(|value| HeaderLength::parse(value.as_bytes()))
            .transpose()
            .map(Self::OpenInference)
            .map_err(|error| Failure::in_body(Contract::OpenInference, error))
    }

    /// The name in metrics and logs.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::OpenInference(None) => "http_v2_json",
            Self::OpenInference(Some(_)) => "http_v2_binary",
            Self::TensorFlow => "http_tfs",
            Self::Predict => "http_predict",
        }
    }

    pub fn contract(self) -> Contract {
        match self {
            Self::OpenInference(_) => Contract::OpenInference,
            Self::TensorFlow => Contract::TensorFlow,
            Self::Predict => Contract::Plain,
        }
    }

    /// Whether it is to be told to TensorFlow Serving's metrics, and as what.
    pub fn entrypoint(self) -> Option<Entrypoint> {
        (self == Self::TensorFlow).then_some(Entrypoint::Rest)
    }

    /// Where the binary part of a body begins, by its head; 0 if it has none.
    pub fn binary_at(self) -> usize {
        match self {
            Self::OpenInference(Some(json_length)) => json_length.claimed(),
            Self::OpenInference(None) | Self::TensorFlow | Self::Predict => 0,
        }
    }

    pub fn decode(
        self,
        body: &Bytes,
        signature: &Signature,
        limits: JsonLimits,
        regions: &dyn Regions,
    ) -> Result<Decoded, DecodeError> {
        let plain = |inputs, form| Decoded {
            inputs,
            outputs: Vec::new(),
            parameters: Parameters::new(),
            form,
            compression: None,
        };
        Ok(match self {
            Self::OpenInference(json_length) => {
                let request =
                    open_inference::decode_infer(body, json_length, signature, limits, regions)?;
                Decoded {
                    inputs: request.inputs,
                    outputs: request.reply.output_names(),
                    parameters: request.parameters,
                    form: ReplyForm::OpenInference(request.reply),
                    compression: None,
                }
            }
            Self::TensorFlow => {
                let request = tensorflow_serving::decode_predict(body, signature, limits)?;
                plain(request.inputs, ReplyForm::TensorFlow(request.form))
            }
            Self::Predict => {
                let request = predict::decode(body, signature, limits)?;
                plain(request.inputs, ReplyForm::Predict(request.samples))
            }
        })
    }
}

impl ReplyForm {
    /// # Errors
    /// When these outputs cannot be written in this form.
    pub fn encode(
        &self,
        model: &ModelName,
        version: Version,
        outputs: &[Tensor],
        regions: &dyn Regions,
    ) -> Result<Encoded, Error> {
        let json = |body| Encoded { json_length: None, chunks: vec![body] };
        match self {
            Self::OpenInference(reply) => {
                open_inference::encode_infer(model, version, reply, outputs, regions)
            }
            Self::TensorFlow(form) => tensorflow_serving::encode_predict(*form, outputs).map(json),
            Self::Predict(samples) => predict::encode(*samples, outputs).map(json),
            Self::GrpcOpenInference(reply, within) => {
                let chunks = grpc::open_inference::encode_infer(
                    model, version, reply, outputs, *within, regions,
                )?;
                Ok(Encoded { json_length: None, chunks })
            }
            Self::GrpcTensorFlow => {
                grpc::tensorflow_serving::encode_predict(model, version, outputs).map(json)
            }
        }
    }
}
