//! Bodies and answers from files, read into tensors in the protocol's own words. Over gRPC nothing else is
//! asked: a file is JSON all the same, and its tensors are written again.

use bytes::Bytes;
use tidegate_inference::{Parameters, Signature, Tensor};
use tidegate_proto::JsonLimits;
use tidegate_proto::open_inference::{self, HeaderLength};
use tidegate_proto::shared_memory::NoRegions;
use tidegate_proto::tensorflow_serving;

use super::super::address::Family;
use crate::Failure;

/// A request's tensors, from a file's body.
pub(super) fn request(
    family: Family,
    body: &Bytes,
    json_length: Option<usize>,
    signature: &Signature,
) -> Result<(Vec<Tensor>, Parameters), Failure> {
    let limits = JsonLimits::default();
    match family {
        Family::OpenInference => {
            let length = json_length.map(header_length).transpose()?;
            let request = open_inference::decode_infer(body, length, signature, limits, &NoRegions)
                .map_err(|error| error.to_string())?;
            Ok((request.inputs, request.parameters))
        }
        Family::TensorFlow => {
            refuse_binary(json_length)?;
            let request = tensorflow_serving::decode_predict(body, signature, limits)
                .map_err(|error| error.to_string())?;
            Ok((request.inputs, Parameters::new()))
        }
    }
}

/// An answer's outputs, from a file's body.
pub(super) fn response(
    family: Family,
    body: &Bytes,
    json_length: Option<usize>,
    signature: &Signature,
) -> Result<Vec<Tensor>, Failure> {
    let limits = JsonLimits::default();
    let outputs = match family {
        Family::OpenInference => {
            let length = json_length.map(header_length).transpose()?;
            open_inference::decode_response(body, length, limits)
        }
        Family::TensorFlow => {
            refuse_binary(json_length)?;
            tensorflow_serving::decode_response(body, &signature.outputs, limits)
        }
    };
    outputs.map_err(|error| Failure::new(error.to_string()))
}

/// Rows of a body that is sent as it is; one where it does not tell.
pub(super) fn rows(family: Family, body: &Bytes, json_length: Option<usize>) -> usize {
    match family {
        Family::OpenInference => {
            let unknown = Signature { inputs: Vec::new(), outputs: Vec::new() };
            request(family, body, json_length, &unknown)
                .map_or(1, |(inputs, _)| shared_rows(&inputs))
        }
        Family::TensorFlow => {
            tensorflow_serving::request_rows(body, JsonLimits::default()).unwrap_or(1)
        }
    }
}

/// The first dimension, where all inputs agree on it.
pub(super) fn shared_rows(inputs: &[Tensor]) -> usize {
    let mut rows = inputs.iter().map(|input| input.shape().first());
    match rows.next() {
        Some(Some(first)) if rows.all(|rows| rows == Some(first)) => *first,
        _ => 1,
    }
}

fn header_length(json_length: usize) -> Result<HeaderLength, Failure> {
    HeaderLength::parse(json_length.to_string().as_bytes())
        .map_err(|error| Failure::new(error.to_string()))
}

fn refuse_binary(json_length: Option<usize>) -> Result<(), Failure> {
    match json_length {
        None => Ok(()),
        Some(_) => Err("a TensorFlow Serving body is JSON: it has no binary form".into()),
    }
}
