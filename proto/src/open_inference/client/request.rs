//! An infer request, written: all of it in JSON, or its tensors in binary behind the JSON.

use bytes::Bytes;
use tidegate_inference::{Error, ParameterValue, Parameters, Tensor};

use super::super::response::{Encoded, write_tensor};
use crate::json::{write_f64, write_json};
use crate::role::Role;

/// A binary request asks for binary outputs, too: whoever can write them can read them.
///
/// # Errors
/// When an input cannot be written in JSON: half floats, and byte strings that are not text.
pub fn encode_request(
    inputs: &[Tensor],
    parameters: &Parameters,
    binary: bool,
) -> Result<Encoded, Error> {
    let mut json = Vec::new();
    let mut chunks = vec![Bytes::new()];
    json.push(b'{');
    write_parameters(&mut json, parameters, binary);
    json.extend_from_slice(b"\"inputs\":[");
    for (index, input) in inputs.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_tensor(&mut json, &mut chunks, Role::Input, binary, input)?;
    }
    json.extend_from_slice(b"]}");
    let json_length = (chunks.len() > 1).then_some(json.len());
    chunks[0] = json.into();
    Ok(Encoded { json_length, chunks })
}

fn write_parameters(json: &mut Vec<u8>, parameters: &Parameters, binary: bool) {
    if parameters.is_empty() && !binary {
        return;
    }
    json.extend_from_slice(b"\"parameters\":{");
    let mut separator: &[u8] = b"";
    if binary {
        json.extend_from_slice(b"\"binary_data_output\":true");
        separator = b",";
    }
    for (key, value) in parameters {
        json.extend_from_slice(separator);
        write_json(json, key);
        json.push(b':');
        write_value(json, value);
        separator = b",";
    }
    json.extend_from_slice(b"},");
}

fn write_value(json: &mut Vec<u8>, value: &ParameterValue) {
    match value {
        ParameterValue::Bool(value) => write_json(json, value),
        ParameterValue::Int64(value) => write_json(json, value),
        ParameterValue::Uint64(value) => write_json(json, value),
        ParameterValue::Double(value) => write_f64(json, *value),
        ParameterValue::String(value) => write_json(json, value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_inference::{DataType, Shape, Signature, TensorData};

    use super::*;
    use crate::JsonLimits;
    use crate::any::{any_tensor, same_values};
    use crate::open_inference::{HeaderLength, InferRequest, decode_infer};
    use crate::shared_memory::NoRegions;

    fn read_back(encoded: &Encoded) -> InferRequest {
        let body = Bytes::from(encoded.chunks.concat());
        let length = encoded.json_length.map(|length| length.to_string());
        let length = length.map(|length| HeaderLength::parse(length.as_bytes()).unwrap());
        let signature = Signature { inputs: vec![], outputs: vec![] };
        decode_infer(&body, length, &signature, JsonLimits::default(), &NoRegions).unwrap()
    }

    fn uint8(values: &[u8]) -> Tensor {
        let data = TensorData::Fixed(values.to_vec().into());
        Tensor::new("x", DataType::Uint8, Shape::new(&[values.len()]), data).unwrap()
    }

    #[test]
    fn a_json_request_is_as_short_as_it_can_be() {
        let encoded = encode_request(&[uint8(&[1, 2])], &Parameters::new(), false).unwrap();
        assert_eq!(
            encoded.chunks,
            [r#"{"inputs":[{"name":"x","datatype":"UINT8","shape":[2],"data":[1,2]}]}"#]
        );
        assert_eq!(encoded.content_type(), "application/json");
    }

    #[test]
    fn a_binary_request_asks_for_binary_outputs() {
        let parameters = Parameters::from([("priority".to_owned(), ParameterValue::Int64(1))]);
        let encoded = encode_request(&[uint8(&[1, 2])], &parameters, true).unwrap();
        let json = r#"{"parameters":{"binary_data_output":true,"priority":1},"inputs":[{"name":"x","datatype":"UINT8","shape":[2],"parameters":{"binary_data_size":2}}]}"#;
        assert_eq!(encoded.chunks, [json.as_bytes(), &[1, 2]]);
        assert_eq!(encoded.json_length, Some(json.len()));
        let back = read_back(&encoded);
        assert!(back.reply.binary_default);
        assert_eq!(back.parameters, parameters);
    }

    #[test]
    fn parameters_of_every_type_are_read_as_they_were_written() {
        let parameters = Parameters::from([
            ("b".to_owned(), ParameterValue::Bool(true)),
            ("d".to_owned(), ParameterValue::Double(0.5)),
            ("i".to_owned(), ParameterValue::Int64(-1)),
            ("s".to_owned(), ParameterValue::String("a\"b".to_owned())),
            ("u".to_owned(), ParameterValue::Uint64(u64::MAX)),
        ]);
        let encoded = encode_request(&[uint8(&[1])], &parameters, false).unwrap();
        assert_eq!(read_back(&encoded).parameters, parameters);
    }

    #[test]
    fn what_json_cannot_say_is_refused_with_the_way_out() {
        let data = TensorData::Fixed(Bytes::from_static(&[0, 0]));
        let half = Tensor::new("x", DataType::Fp16, Shape::new(&[1]), data).unwrap();
        let refused = encode_request(&[half], &Parameters::new(), false).unwrap_err();
        assert_eq!(
            refused.message(),
            "sending FP16 data via JSON is not supported. Please use the binary data format for input 'x'"
        );
    }

    proptest! {
        #[test]
        fn the_server_reads_every_tensor_that_was_written_in_binary(tensor in any_tensor("t")) {
            let inputs = [tensor, uint8(&[7])];
            let encoded = encode_request(&inputs, &Parameters::new(), true).unwrap();
            prop_assert_eq!(read_back(&encoded).inputs, inputs);
        }

        #[test]
        fn the_server_reads_every_tensor_that_was_written_in_json(tensor in any_tensor("t")) {
            prop_assume!(!matches!(tensor.datatype(), DataType::Fp16 | DataType::Bf16));
            let encoded =
                encode_request(std::slice::from_ref(&tensor), &Parameters::new(), false).unwrap();
            prop_assert!(same_values(&read_back(&encoded).inputs[0], &tensor));
        }
    }
}
