//! A predict response, read. It names no datatypes: the model's metadata has to be known.

use tidegate_inference::{Tensor, TensorSpec};

use super::super::{Form, forms};
use crate::json::{JsonError, Reader, Result};
use crate::role::Role;
use crate::{DecodeError, JsonLimits};

/// The outputs of a response's body, in the order of `outputs`, which must be all of the signature's.
///
/// # Errors
/// When the body breaks the format, or holds other outputs than those.
pub fn decode_response(
    body: &[u8],
    outputs: &[TensorSpec],
    limits: JsonLimits,
) -> Result<Vec<Tensor>, DecodeError> {
    read(body, outputs, limits).map_err(|error| error.within("JSON Parse error"))
}

fn read(body: &[u8], outputs: &[TensorSpec], limits: JsonLimits) -> Result<Vec<Tensor>> {
    let mut reader = Reader::new(body, limits);
    let mut tensors = None;
    reader.object(|key, reader| {
        let form = match key {
            "predictions" => Form::Row,
            "outputs" => Form::Column,
            _ => return reader.skip(),
        };
        tensors = Some(forms::read(reader, form, Role::Output, outputs)?);
        Ok(())
    })?;
    tensors
        .ok_or_else(|| JsonError::refused("the response has neither 'predictions' nor 'outputs'"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_inference::{DataType, Dim};

    use super::*;
    use crate::any::{any_tensor, same_values};
    use crate::tensorflow_serving::encode_predict;

    fn spec(name: &str, datatype: DataType) -> TensorSpec {
        TensorSpec { name: name.into(), datatype, shape: vec![Dim::Dynamic] }
    }

    fn decode(outputs: &[TensorSpec], body: &str) -> Result<Vec<Tensor>, DecodeError> {
        decode_response(body.as_bytes(), outputs, JsonLimits::default())
    }

    #[test]
    fn several_outputs_are_read_by_name_in_the_models_order() {
        let specs = [spec("label", DataType::Int64), spec("name", DataType::Bytes)];
        for body in [
            r#"{"predictions":[{"name":"a","label":1},{"name":"b","label":2}]}"#,
            r#"{"outputs":{"name":["a","b"],"label":[1,2]}}"#,
        ] {
            let outputs = decode(&specs, body).unwrap();
            assert_eq!([&**outputs[0].name(), &**outputs[1].name()], ["label", "name"]);
            assert_eq!((outputs[0].elements(), outputs[1].byte_size()), (2, 2));
        }
    }

    #[test]
    fn a_fault_is_called_the_outputs() {
        let one = [spec("y", DataType::Uint8)];
        let two = [spec("y", DataType::Uint8), spec("z", DataType::Uint8)];
        for (specs, body, message) in [
            (&one[..], "", "JSON Parse error: Invalid value. at offset 0"),
            (&one, "{}", "the response has neither 'predictions' nor 'outputs'"),
            (&one, r#"{"predictions":1}"#, "Expecting 'predictions' to be a list/array"),
            (
                &one,
                r#"{"predictions":["a"]}"#,
                "Failed to process element: 0 of 'predictions' list. Error: output 'y': expected \
                 UINT8, got a string",
            ),
            (
                &two,
                r#"{"outputs":[1]}"#,
                "outputs is a plain value/list, but expecting an object as the model has 2 outputs",
            ),
            (&two, r#"{"outputs":{"y":[1]}}"#, "Missing named output: z in 'outputs' object."),
        ] {
            assert_eq!(decode(specs, body).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn the_client_reads_every_tensor_that_the_server_answers(tensor in any_tensor("y")) {
            prop_assume!(tensor.elements() > 0);
            for form in [Form::Column, Form::Row] {
                prop_assume!(form == Form::Column || !tensor.shape().is_empty());
                let body = encode_predict(form, std::slice::from_ref(&tensor)).unwrap();
                let specs = [spec("y", tensor.datatype())];
                let outputs = decode_response(&body, &specs, JsonLimits::default()).unwrap();
                prop_assert!(same_values(&outputs[0], &tensor));
            }
        }
    }
}
