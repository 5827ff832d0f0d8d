//! What the bare servers are asked and what they answer: one row of the model, written as in the Open Inference Protocol.
//!
//! Over HTTP that is its JSON, or its binary form where JSON cannot hold the values. Over gRPC it is a message as long as the
//! binary form, which is what a protobuf message with raw contents comes to; nobody there reads what is in it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue};
use tidegate_inference::{ModelName, Parameters, Tensor, Version};
use tidegate_proto::open_inference::{Reply, encode_infer, encode_request};
use tidegate_proto::shared_memory::NoRegions;

use super::bare::Protocol;
use super::echo::{Exchange, OfLength};
use crate::Failure;
use crate::question::{Prepared, Question};

/// gRPC's frame around a message: whether it is compressed, and its length.
const FRAME: usize = 5;

/// A request, and the bytes that the bare server is to answer.
pub struct Conversation {
    pub exchange: Exchange,
    pub answer: Bytes,
}

impl Conversation {
    /// # Errors
    /// When the tensors cannot be written in either form.
    pub fn new(protocol: Protocol, inputs: &[Tensor], outputs: &[Tensor]) -> Result<Self, Failure> {
        let binary = protocol == Protocol::Grpc;
        let (body, answer) =
            written(inputs, outputs, binary).or_else(|_| written(inputs, outputs, true))?;
        let mut headers = HeaderMap::new();
        let (path, body, length) = match protocol {
            Protocol::Http | Protocol::Json => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                ("/v2/models/model/infer", body, answer.len())
            }
            Protocol::Grpc => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert(TE, HeaderValue::from_static("trailers"));
                let path = "/inference.GRPCInferenceService/ModelInfer";
                (path, framed(&body)?, answer.len() + FRAME)
            }
        };
        let request = Prepared { path: path.to_owned(), headers, body };
        let question = Question { request, rows: 1, expected: None };
        let exchange = Exchange { question, wire: Arc::new(OfLength(length)) };
        Ok(Self { exchange, answer })
    }
}

fn written(inputs: &[Tensor], outputs: &[Tensor], binary: bool) -> Result<(Bytes, Bytes), Failure> {
    let failed = |error: tidegate_inference::Error| Failure::new(error.message());
    let model = ModelName::new("model").map_err(failed)?;
    let version = Version::new(1).ok_or("1 is a version")?;
    let reply = Reply { binary_default: binary, ..Reply::default() };
    let request = encode_request(inputs, &Parameters::default(), binary).map_err(failed)?;
    let answer = encode_infer(&model, version, &reply, outputs, &NoRegions).map_err(failed)?;
    Ok((request.chunks.concat().into(), answer.chunks.concat().into()))
}

fn framed(message: &[u8]) -> Result<Bytes, Failure> {
    let length = u32::try_from(message.len()).map_err(|_| "a message is below 4 GiB")?;
    Ok([&[0][..], &length.to_be_bytes(), message].concat().into())
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{DataType, Shape, TensorData};

    use super::*;

    fn tensor(name: &str, datatype: DataType, bytes: &[u8]) -> Tensor {
        let elements = bytes.len() / datatype.size().unwrap();
        let data = TensorData::Fixed(Bytes::copy_from_slice(bytes));
        Tensor::new(name, datatype, Shape::new(&[1, elements]), data).unwrap()
    }

    #[test]
    fn http_asks_in_json_and_takes_only_an_answer_of_the_same_length() {
        let (x, y) = (tensor("x", DataType::Uint8, &[1]), tensor("y", DataType::Uint8, &[2, 3]));
        let talk = Conversation::new(Protocol::Http, &[x], &[y]).unwrap();
        let body = &talk.exchange.question.request.body;
        assert!(body.starts_with(br#"{"inputs":[{"name":"x""#), "{body:?}");
        assert!(talk.answer.ends_with(b"]}"), "{:?}", talk.answer);
    }

    #[test]
    fn what_json_cannot_hold_is_asked_in_binary() {
        let half = || tensor("x", DataType::Fp16, &[0, 60]);
        let talk = Conversation::new(Protocol::Http, &[half()], &[half()]).unwrap();
        assert!(talk.exchange.question.request.body.ends_with(&[0, 60]));
    }

    #[test]
    fn grpc_frames_its_message_with_its_length() {
        let x = || tensor("x", DataType::Uint8, &[7; 300]);
        let talk = Conversation::new(Protocol::Grpc, &[x()], &[x()]).unwrap();
        let body = &talk.exchange.question.request.body;
        let length = u32::try_from(body.len() - FRAME).unwrap();
        assert_eq!(body[..FRAME], [&[0][..], &length.to_be_bytes()].concat()[..]);
    }
}
