//! An infer response, read. Binary outputs are windows into the body.

use bytes::Bytes;
use tidegate_inference::Tensor;

use super::super::binary::HeaderLength;
use super::super::head::Head;
use super::super::request::fill;
use crate::json::{JsonError, Kind, Reader, Result};
use crate::role::Role;
use crate::shared_memory::NoRegions;
use crate::{DecodeError, JsonLimits};

/// The outputs of a response's body; `json_length` is the header's value, if it was sent.
///
/// # Errors
/// When the body breaks the protocol.
pub fn decode_response(
    body: &Bytes,
    json_length: Option<HeaderLength>,
    limits: JsonLimits,
) -> Result<Vec<Tensor>, DecodeError> {
    let json_length = match json_length {
        Some(length) => length.within(body.len())?,
        None => body.len(),
    };
    let heads = heads(&body[..json_length], limits)
        .map_err(|error| error.within("failed to parse the response JSON buffer"))?;
    fill(Role::Output, heads, body.slice(json_length..), &NoRegions)
}

/// The version that answered, if the body tells it before its outputs, as all servers do: nothing behind
/// is looked at, so asking costs next to nothing.
pub fn answering_version(body: &[u8], limits: JsonLimits) -> Option<u64> {
    let mut version = None;
    // What ends the reading early is no error, and broken text has no version.
    let _ = Reader::new(body, limits).object(|key, reader| match key {
        "model_version" if reader.peek()? == Kind::String => {
            version = reader.string()?.parse().ok();
            Err(JsonError::refused("found"))
        }
        "outputs" => Err(JsonError::refused("not found")),
        _ => reader.skip(),
    });
    version
}

fn heads(json: &[u8], limits: JsonLimits) -> Result<Vec<Head>> {
    let mut reader = Reader::new(json, limits);
    let mut heads = None;
    reader.object(|key, reader| {
        if key != "outputs" {
            return reader.skip();
        }
        let outputs = heads.insert(Vec::new());
        reader.array(|reader| {
            outputs.push(Head::read(Role::Output, reader)?);
            Ok(())
        })
    })?;
    reader.finish()?;
    heads.ok_or_else(|| JsonError::refused("the response has no 'outputs'"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_inference::{DataType, ModelName, TensorData, Version};

    use super::*;
    use crate::any::{any_tensor, same_values};
    use crate::open_inference::{Reply, encode_infer};

    fn decode(json: &str) -> Result<Vec<Tensor>, DecodeError> {
        let body = Bytes::copy_from_slice(json.as_bytes());
        decode_response(&body, None, JsonLimits::default())
    }

    fn answered(outputs: &[Tensor], binary: bool) -> Vec<Tensor> {
        let reply = Reply { binary_default: binary, ..Reply::default() };
        let model = ModelName::new("m").unwrap();
        let encoded =
            encode_infer(&model, Version::new(1).unwrap(), &reply, outputs, &NoRegions).unwrap();
        let length = encoded.json_length.map(|length| length.to_string());
        let length = length.map(|length| HeaderLength::parse(length.as_bytes()).unwrap());
        let body = Bytes::from(encoded.chunks.concat());
        decode_response(&body, length, JsonLimits::default()).unwrap()
    }

    #[test]
    fn what_other_servers_add_is_skipped() {
        let outputs = decode(
            r#"{"id":null,"model_name":"m","parameters":{"x":{"deep":[1]}},"outputs":[
               {"name":"y","shape":[1],"datatype":"FP16","data":[1.5],"parameters":{"content_type":"np"}}],
               "extra":{}}"#,
        )
        .unwrap();
        assert_eq!(*outputs[0].data(), TensorData::Fixed(Bytes::from_static(&[0, 0x3e])));
    }

    #[test]
    fn the_version_is_found_in_front_of_the_outputs_only() {
        let version = |body: &str| answering_version(body.as_bytes(), JsonLimits::default());
        assert_eq!(version(r#"{"model_name":"m","model_version":"3","outputs":[...cut"#), Some(3));
        for body in ["", "{", r#"{"outputs":[],"model_version":"3"}"#, r#"{"model_version":null}"#]
        {
            assert_eq!(version(body), None, "{body}");
        }
    }

    #[test]
    fn a_fault_is_called_the_outputs() {
        for (json, message) in [
            ("", "failed to parse the response JSON buffer: Invalid value. at offset 0"),
            ("{}", "the response has no 'outputs'"),
            (
                r#"{"outputs":[{"name":"y","shape":[2],"datatype":"UINT8","data":[1]}]}"#,
                "output 'y': Shape does not match true shape of 'data' field: [2] has 2 elements, got 1",
            ),
            (
                r#"{"outputs":[{"name":"y","shape":[1],"datatype":"INT8","data":["a"]}]}"#,
                "output 'y': expected INT8, got a string",
            ),
            (
                r#"{"outputs":[{"name":"y","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":1}}]}"#,
                "unexpected size for output 'y', expecting 1 additional bytes for model",
            ),
        ] {
            assert_eq!(decode(json).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn the_client_reads_every_tensor_that_the_server_answers(tensor in any_tensor("y")) {
            let outputs = std::slice::from_ref(&tensor);
            prop_assert_eq!(answered(outputs, true), outputs);
            prop_assume!(!matches!(tensor.datatype(), DataType::Fp16 | DataType::Bf16));
            prop_assert!(same_values(&answered(outputs, false)[0], &tensor));
        }
    }
}
