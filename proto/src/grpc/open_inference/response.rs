//! An infer response, written and read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use tidegate_inference::{Error, ModelName, ParameterValue, Parameters, Tensor, Version};

use super::contents::{Head, dims, fill, raw};
use super::parameters;
use crate::DecodeError;
use crate::grpc::frame;
use crate::grpc::inference::model_infer_response::InferOutputTensor;
use crate::grpc::inference::{InferParameter, ModelInferResponse};
use crate::open_inference::{Reply, classified};
use crate::role::Role;
use crate::shared_memory::{self, NoRegions, Regions, Window};

/// Up to this size an output is copied behind the others: a piece of its own costs more.
const COPIED: usize = 16 * 1024;

/// Numbers of fields, in `ModelInferResponse` and `ModelStreamInferResponse`.
const RAW_OUTPUT_CONTENTS: u32 = 6;
const INFER_RESPONSE: u32 = 2;

/// With all values raw, even of empty outputs: standard clients expect one entry for each.
///
/// # Errors
/// When a byte string is longer than its length field can say.
pub fn encode_response(
    model: &str,
    version: &str,
    id: &str,
    outputs: &[Tensor],
) -> Result<ModelInferResponse, Error> {
    Ok(ModelInferResponse {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        id: id.to_owned(),
        outputs: outputs.iter().map(output).collect(),
        raw_output_contents: outputs.iter().map(raw).collect::<Result<_, _>>()?,
        ..ModelInferResponse::default()
    })
}

/// Where a response stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// It is the call's message.
    Call,
    /// It is wrapped, as a stream's message.
    Stream,
}

/// A response as it leaves the gateway: framed, and in pieces, so that large outputs are not copied.
///
/// # Errors
/// When an output cannot be written in the form that was wished for, or all are too large for a message.
pub fn encode_infer(
    model: &ModelName,
    version: Version,
    reply: &Reply,
    outputs: &[Tensor],
    within: Within,
    regions: &dyn Regions,
) -> Result<Vec<Bytes>, Error> {
    let outputs: Vec<Cow<'_, Tensor>> =
        outputs.iter().map(|output| classified(reply, output)).collect::<Result<_, _>>()?;
    let (outputs, contents) = placed(reply, &outputs, regions)?;
    let head = ModelInferResponse {
        model_name: model.to_string(),
        model_version: version.to_string(),
        id: reply.id.clone().unwrap_or_default(),
        parameters: if within == Within::Stream { final_response() } else { BTreeMap::new() },
        outputs,
        ..ModelInferResponse::default()
    };
    let contents_size: usize = contents.iter().map(|raw| field_size(raw.len())).sum();
    let response_size = head.encoded_len() + contents_size;
    let message_size = match within {
        Within::Call => response_size,
        Within::Stream => field_size(response_size),
    };
    let length = u32::try_from(message_size).map_err(|_| {
        Error::internal(format!("an answer of {message_size} bytes does not fit a gRPC message"))
    })?;
    let copied: usize = contents.iter().map(Bytes::len).filter(|size| *size <= COPIED).sum();
    let mut chunk = BytesMut::with_capacity(head.encoded_len() + copied + 32 + 8 * contents.len());
    frame::begin(&mut chunk, length);
    if within == Within::Stream {
        begin_field(&mut chunk, INFER_RESPONSE, response_size);
    }
    head.encode(&mut chunk).expect("the buffer grows");
    let mut chunks = Vec::new();
    for raw in contents {
        begin_field(&mut chunk, RAW_OUTPUT_CONTENTS, raw.len());
        if raw.len() <= COPIED {
            chunk.extend_from_slice(&raw);
        } else {
            chunks.extend([chunk.split().freeze(), raw]);
        }
    }
    chunks.push(chunk.freeze());
    Ok(chunks)
}

/// The outputs' descriptions and their values, which are empty where they stand in shared memory.
fn placed(
    reply: &Reply,
    outputs: &[Cow<'_, Tensor>],
    regions: &dyn Regions,
) -> Result<(Vec<InferOutputTensor>, Vec<Bytes>), Error> {
    let mut heads = Vec::with_capacity(outputs.len());
    let mut contents = Vec::with_capacity(outputs.len());
    for tensor in outputs {
        let mut head = output(tensor);
        match reply.shared(tensor.name()) {
            Some(window) => {
                let byte_size = shared_memory::put(regions, window, tensor)?;
                head.parameters = parameters::encode(&place(window, byte_size));
                contents.push(Bytes::new());
            }
            None => contents.push(raw(tensor)?),
        }
        heads.push(head);
    }
    Ok((heads, contents))
}

/// Where an output was written.
fn place(window: &Window, byte_size: usize) -> Parameters {
    let size = |size: usize| ParameterValue::Int64(i64::try_from(size).unwrap_or(i64::MAX));
    let mut place = Parameters::from([
        ("shared_memory_region".to_owned(), ParameterValue::String(window.region.clone())),
        ("shared_memory_byte_size".to_owned(), size(byte_size)),
    ]);
    if window.offset > 0 {
        place.insert("shared_memory_offset".to_owned(), size(window.offset));
    }
    place
}

/// Every answer is its request's last; clients of streams look for it here.
fn final_response() -> BTreeMap<String, InferParameter> {
    parameters::encode(&Parameters::from([(
        "triton_final_response".to_owned(),
        ParameterValue::Bool(true),
    )]))
}

fn begin_field(chunk: &mut BytesMut, field: u32, size: usize) {
    encode_key(field, WireType::LengthDelimited, chunk);
    encode_varint(size as u64, chunk);
}

/// A field of so many bytes, with its key and length.
fn field_size(bytes: usize) -> usize {
    // Keys of fields below 16 are one byte.
    1 + encoded_len_varint(bytes as u64) + bytes
}

fn output(tensor: &Tensor) -> InferOutputTensor {
    InferOutputTensor {
        name: tensor.name().to_string(),
        datatype: tensor.datatype().name().to_owned(),
        shape: dims(tensor),
        ..InferOutputTensor::default()
    }
}

/// The outputs of a response.
///
/// # Errors
/// When it breaks the protocol.
pub fn decode_response(response: ModelInferResponse) -> Result<Vec<Tensor>, DecodeError> {
    let head = |output: InferOutputTensor| Head {
        name: output.name,
        datatype: output.datatype,
        shape: output.shape,
        contents: output.contents,
        shared: None,
    };
    let heads = response.outputs.into_iter().map(head).collect();
    fill(Role::Output, heads, response.raw_output_contents, &NoRegions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_inference::{DataType, Shape, TensorData};

    use super::*;
    use crate::any::any_tensor;
    use crate::grpc::inference::ModelStreamInferResponse;
    use crate::grpc::{frame, unframe};

    fn gateway(reply: &Reply, outputs: &[Tensor], within: Within) -> Vec<Bytes> {
        let (model, version) = (ModelName::new("m").unwrap(), Version::new(3).unwrap());
        encode_infer(&model, version, reply, outputs, within, &NoRegions).unwrap()
    }

    fn bytes(name: &str, size: usize) -> Tensor {
        let data = TensorData::Fixed(Bytes::from(vec![7; size]));
        Tensor::new(name, DataType::Uint8, Shape::new(&[size]), data).unwrap()
    }

    #[test]
    fn large_outputs_are_pieces_of_their_own_and_not_copied() {
        let outputs = [bytes("a", 10), bytes("b", 100_000), bytes("c", 10)];
        let chunks = gateway(&Reply::default(), &outputs, Within::Call);
        assert_eq!(chunks.len(), 3);
        let TensorData::Fixed(large) = outputs[1].data() else { panic!("UINT8") };
        assert_eq!(chunks[1].as_ptr(), large.as_ptr());
        let response: ModelInferResponse = unframe(&chunks.concat().into()).unwrap();
        assert_eq!(decode_response(response).unwrap(), outputs);
    }

    #[test]
    fn in_a_stream_a_response_is_wrapped_and_says_that_it_is_the_last() {
        let reply = Reply { id: Some("7".to_owned()), ..Reply::default() };
        let outputs = [bytes("a", 3), bytes("b", 20_000)];
        let body = gateway(&reply, &outputs, Within::Stream).concat().into();
        let message: ModelStreamInferResponse = unframe(&body).unwrap();
        assert_eq!(message.error_message, "");
        let response = message.infer_response.unwrap();
        assert_eq!((&*response.id, &*response.model_version), ("7", "3"));
        assert!(response.parameters.contains_key("triton_final_response"));
        assert_eq!(decode_response(response).unwrap(), outputs);
    }

    proptest! {
        #[test]
        fn the_gateways_pieces_are_the_same_message(a in any_tensor("a"), b in any_tensor("b")) {
            let outputs = [a, b];
            let reply = Reply { id: Some("id".to_owned()), ..Reply::default() };
            let pieces = gateway(&reply, &outputs, Within::Call).concat();
            prop_assert_eq!(pieces, frame(&encode_response("m", "3", "id", &outputs).unwrap()));
        }

        #[test]
        fn the_client_reads_every_tensor_that_the_server_answers(a in any_tensor("a"), b in any_tensor("b")) {
            let outputs = [a, b];
            let body = frame(&encode_response("m", "3", "id", &outputs).unwrap());
            let response: ModelInferResponse = unframe(&body).unwrap();
            prop_assert_eq!((&*response.model_version, &*response.id), ("3", "id"));
            prop_assert_eq!(decode_response(response).unwrap(), outputs);
        }
    }
}
