//! What a message will take in memory once it is decoded, told before anything of it is.
//!
//! Protobuf is dense: two bytes on the wire can be an empty tensor of four hundred in memory, so a message within
//! its size limit could still take a hundred times that. Here the wire is only stepped over, and nothing is
//! allocated. Where one cannot know, the more is assumed.

use std::cell::Cell;

use bytes::Buf;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::tensorflow::TensorShapeProto;
use super::tensorflow_serving::tensor::datatype;
use crate::DecodeError;

/// A tensor's description, a map's entry, a requested output: their structs, and the strings' own overhead.
const ENTRY: usize = 512;

/// A window into the message.
const WINDOW: usize = size_of::<bytes::Bytes>();

/// Bytes that a [`super::inference::ModelInferRequest`] of this wire form takes beside the wire form itself.
///
/// # Errors
/// When it is not protobuf.
pub fn infer_request(wire: &[u8]) -> Result<usize, DecodeError> {
    fields(wire, |field, value| match field {
        // Raw contents stay where they are.
        7 => Ok(WINDOW),
        5 => Ok(ENTRY.saturating_add(infer_input(value)?)),
        _ => Ok(ENTRY.saturating_add(value.len())),
    })
}

fn infer_input(wire: &[u8]) -> Result<usize, DecodeError> {
    fields(wire, |field, value| match field {
        3 => Ok(value.len().saturating_mul(8)),
        5 => contents(value),
        _ => Ok(ENTRY.saturating_add(value.len())),
    })
}

/// Values by their type, and once more as the tensor that is made of them.
fn contents(wire: &[u8]) -> Result<usize, DecodeError> {
    fields(wire, |field, value| match field {
        // A number may be one byte on the wire, and is held in its full width.
        1 => Ok(value.len().saturating_mul(2)),
        2 | 4 => Ok(value.len().saturating_mul(8)),
        3 | 5 => Ok(value.len().saturating_mul(16)),
        8 => Ok(WINDOW),
        _ => Ok(value.len().saturating_mul(2)),
    })
}

/// The same for a [`super::tensorflow::serving::PredictRequest`].
///
/// # Errors
/// When it is not protobuf.
pub fn predict_request(wire: &[u8]) -> Result<usize, DecodeError> {
    fields(wire, |field, value| match field {
        2 => fields(value, |field, value| match field {
            2 => Ok(ENTRY.saturating_add(tensor_proto(value)?)),
            _ => Ok(ENTRY.saturating_add(value.len())),
        }),
        _ => Ok(ENTRY.saturating_add(value.len())),
    })
}

fn tensor_proto(wire: &[u8]) -> Result<usize, DecodeError> {
    let typed = Cell::new(false);
    let sum = fields(wire, |field, value| {
        typed.set(typed.get() || field >= 5);
        Ok(match field {
            // A dimension may be two bytes on the wire.
            2 => value.len().saturating_mul(24),
            4 | 8 => WINDOW,
            5 | 6 | 11 => value.len().saturating_mul(2),
            7 | 13 | 16 => value.len().saturating_mul(8),
            10 | 17 => value.len().saturating_mul(16),
            _ => ENTRY,
        })
    })?;
    // Values by their type are repeated until the shape is full.
    let repeated = if typed.get() { filled(wire)? } else { 0 };
    Ok(sum.saturating_add(repeated))
}

/// A tensor without its values, over which the decoder steps.
#[derive(Clone, PartialEq, Message)]
struct TensorHead {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    tensor_shape: Option<TensorShapeProto>,
}

/// Bytes of a tensor that is filled as its shape claims; a shape that is none is refused later.
fn filled(wire: &[u8]) -> Result<usize, DecodeError> {
    let head = TensorHead::decode(wire).map_err(|error| broken(&error))?;
    let width = datatype(head.dtype).ok().and_then(|datatype| datatype.size()).unwrap_or(WINDOW);
    let shape = head.tensor_shape.unwrap_or_default();
    let dims = shape.dim.iter().map(|dim| usize::try_from(dim.size).unwrap_or(0));
    Ok(dims.fold(width, usize::saturating_mul))
}

/// The sum over a message's fields. A number that stands alone has no value to look into; it takes eight bytes, and
/// eight in the tensor.
fn fields(
    mut wire: &[u8],
    weigh: impl Fn(u32, &[u8]) -> Result<usize, DecodeError>,
) -> Result<usize, DecodeError> {
    let mut sum = 0_usize;
    while wire.has_remaining() {
        let (field, wire_type) = decode_key(&mut wire).map_err(|error| broken(&error))?;
        let weight = if wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut wire).map_err(|error| broken(&error))?;
            let cut = usize::try_from(length).ok().and_then(|length| wire.split_at_checked(length));
            let Some((value, rest)) = cut else {
                return Err(DecodeError::invalid(format!(
                    "not a whole message: field {field} has {length} bytes, of which {} are there",
                    wire.len()
                )));
            };
            wire = rest;
            weigh(field, value)?
        } else {
            skip_field(wire_type, field, &mut wire, DecodeContext::default())
                .map_err(|error| broken(&error))?;
            weigh(field, &[])?.max(16)
        };
        sum = sum.saturating_add(weight);
    }
    Ok(sum)
}

fn broken(error: &prost::DecodeError) -> DecodeError {
    DecodeError::invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::inference::model_infer_request::InferInputTensor;
    use crate::grpc::inference::{InferTensorContents, ModelInferRequest};
    use crate::grpc::tensorflow::serving::PredictRequest;

    fn weight(request: &ModelInferRequest) -> usize {
        infer_request(&request.encode_to_vec()).unwrap()
    }

    #[test]
    fn raw_contents_weigh_next_to_nothing_and_small_things_what_they_take() {
        let raw = |bytes: usize| ModelInferRequest {
            raw_input_contents: vec![vec![1; bytes].into()],
            ..ModelInferRequest::default()
        };
        assert_eq!(weight(&raw(1_000_000)), weight(&raw(10)));
        let empty = |count| ModelInferRequest {
            inputs: vec![InferInputTensor::default(); count],
            ..ModelInferRequest::default()
        };
        assert_eq!(empty(1000).encoded_len(), 2000);
        assert!(weight(&empty(1000)) >= 1000 * size_of::<InferInputTensor>());
    }

    #[test]
    fn typed_numbers_weigh_their_full_width_twice() {
        let contents =
            InferTensorContents { int64_contents: vec![1; 1000], ..InferTensorContents::default() };
        let input = InferInputTensor { contents: Some(contents), ..InferInputTensor::default() };
        let request = ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() };
        assert!(request.encoded_len() < 1100);
        assert!((16_000..20_000).contains(&weight(&request)));
    }

    #[test]
    fn empty_tensors_of_the_other_protocol_weigh_too() {
        let inputs = (0..100).map(|name| (name.to_string(), Default::default())).collect();
        let request = PredictRequest { inputs, ..PredictRequest::default() };
        let weight = predict_request(&request.encode_to_vec()).unwrap();
        assert!(weight >= 100 * size_of::<crate::grpc::tensorflow::TensorProto>());
    }

    #[test]
    fn one_value_that_stands_for_many_weighs_as_many() {
        use crate::grpc::tensorflow::tensor_shape_proto::Dim;
        use crate::grpc::tensorflow::{DataType, TensorProto, TensorShapeProto};
        let tensor = |size, float_val| TensorProto {
            dtype: DataType::DtFloat.into(),
            tensor_shape: Some(TensorShapeProto {
                dim: vec![Dim { size, name: String::new() }],
                unknown_rank: false,
            }),
            float_val,
            ..TensorProto::default()
        };
        let weight = |tensor| {
            let inputs = [("x".to_owned(), tensor)].into();
            let request = PredictRequest { inputs, ..PredictRequest::default() };
            predict_request(&request.encode_to_vec()).unwrap()
        };
        assert!(weight(tensor(1 << 20, vec![1.0])) >= 4 << 20);
        assert_eq!(weight(tensor(i64::MAX, vec![1.0])), usize::MAX);
        // Without a value nothing is repeated, however large the shape.
        assert!(weight(tensor(1 << 20, vec![])) < 10_000);
    }

    #[test]
    fn what_claims_more_than_is_there_is_refused() {
        // Field 7, 2^60 bytes long.
        let wire = [0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
        let refused = infer_request(&wire).unwrap_err().to_string();
        assert!(refused.contains("field 7 has 1152921504606846976 bytes, of which 0"), "{refused}");
        assert!(infer_request(&[0xff]).is_err());
    }
}
