//! The body of `:predict`, row form (`instances`) or column form (`inputs`), read in one pass in
//! whatever order its keys come. What follows the first JSON value is ignored, as the original does.

use tidegate_inference::{Signature, Tensor};

use super::{Form, SIGNATURE_NAME, forms};
use crate::json::{JsonError, Kind, Reader, Result};
use crate::role::Role;
use crate::{DecodeError, JsonLimits};

#[derive(Clone, Debug)]
pub struct PredictRequest {
    pub form: Form,
    pub inputs: Vec<Tensor>,
}

/// Decodes a predict request's body (decompressed).
///
/// # Errors
/// When the body breaks the format or names other inputs than the signature's; shapes are for
/// [`Signature::arrange`] to check.
pub fn decode_predict(
    body: &[u8],
    signature: &Signature,
    limits: JsonLimits,
) -> Result<PredictRequest, DecodeError> {
    if body.trim_ascii().is_empty() {
        return Err(DecodeError::invalid("JSON Parse error: The document is empty"));
    }
    read(body, signature, limits).map_err(|error| error.within("JSON Parse error"))
}

fn read(body: &[u8], signature: &Signature, limits: JsonLimits) -> Result<PredictRequest> {
    let mut reader = Reader::new(body, limits);
    let kind = reader.peek()?;
    if kind != Kind::Object {
        // Broken text is called broken, and only a whole value is called the wrong kind.
        reader.skip()?;
        return Err(JsonError::refused(format!(
            "JSON Value is not object: got {}",
            kind.described()
        )));
    }
    let mut request = None;
    reader.object(|key, reader| {
        let form = match key {
            "instances" => Form::Row,
            "inputs" => Form::Column,
            "signature_name" => return signature_name(reader),
            _ => return reader.skip(),
        };
        if request.is_some() {
            return Err(JsonError::refused(
                "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
            ));
        }
        let inputs = forms::read(reader, form, Role::Input, &signature.inputs)?;
        request = Some(PredictRequest { form, inputs });
        Ok(())
    })?;
    request.ok_or_else(|| JsonError::refused("Missing 'inputs' or 'instances' key"))
}

fn signature_name(reader: &mut Reader<'_>) -> Result<()> {
    if reader.peek()? != Kind::String {
        return Err(JsonError::refused("'signature_name' key must be a string value."));
    }
    let name = reader.string()?;
    if name.is_empty() || name == SIGNATURE_NAME {
        return Ok(());
    }
    Err(JsonError::refused(format!(
        "Serving signature name: \"{name:.64}\" not found in signature def, expected \
         \"{SIGNATURE_NAME}\""
    )))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate_inference::{DataType, Dim, TensorData, TensorSpec};

    use super::*;

    fn signature(inputs: &[(&str, DataType)]) -> Signature {
        let spec = |(name, datatype): &(&str, DataType)| TensorSpec {
            name: (*name).into(),
            datatype: *datatype,
            shape: vec![Dim::Dynamic],
        };
        Signature { inputs: inputs.iter().map(spec).collect(), outputs: vec![] }
    }

    fn decode(inputs: &[(&str, DataType)], body: &str) -> Result<PredictRequest, DecodeError> {
        decode_predict(body.as_bytes(), &signature(inputs), JsonLimits::default())
    }

    /// With one UINT8 input `x`.
    fn one(body: &str) -> Result<PredictRequest, DecodeError> {
        decode(&[("x", DataType::Uint8)], body)
    }

    /// With a UINT8 input `b` and a BYTES input `a`.
    fn two(body: &str) -> Result<PredictRequest, DecodeError> {
        decode(&[("b", DataType::Uint8), ("a", DataType::Bytes)], body)
    }

    fn values(tensor: &Tensor) -> (Vec<usize>, Vec<u8>) {
        let TensorData::Fixed(bytes) = tensor.data() else { panic!("not BYTES") };
        (tensor.shape().to_vec(), bytes.to_vec())
    }

    fn strings(tensor: &Tensor) -> &[Bytes] {
        let TensorData::Strings(strings) = tensor.data() else { panic!("BYTES") };
        strings
    }

    #[test]
    fn row_form_stacks_instances_along_the_first_dimension() {
        for (body, shape) in [
            (r#"{"instances":[1,2,3,4]}"#, vec![4]),
            (r#"{"instances":[[1,2],[3,4]]}"#, vec![2, 2]),
            (r#"{"instances":[[[1],[2]],[[3],[4]]]}"#, vec![2, 2, 1]),
            (r#"{"instances":[{"x":[1,2]},{"x":[3,4]}]}"#, vec![2, 2]),
            (r#"{"instances":[{"x":1},{"x":2},{"x":3},{"x":4}]}"#, vec![4]),
        ] {
            let request = one(body).unwrap();
            assert_eq!(request.form, Form::Row);
            assert_eq!(values(&request.inputs[0]), (shape, vec![1, 2, 3, 4]), "{body}");
        }
    }

    #[test]
    fn several_inputs_come_as_objects_in_either_form() {
        for (body, form) in [
            (r#"{"instances":[{"a":"s","b":1},{"b":2,"a":{"b64":"/w=="}}]}"#, Form::Row),
            (r#"{"inputs":{"a":["s",{"b64":"/w=="}],"b":[1,2]}}"#, Form::Column),
        ] {
            let request = two(body).unwrap();
            assert_eq!(request.form, form);
            assert_eq!(values(&request.inputs[0]), (vec![2], vec![1, 2]));
            assert_eq!(strings(&request.inputs[1]), [&b"s"[..], b"\xff"]);
        }
    }

    #[test]
    fn column_form_gives_the_one_input_with_or_without_its_name() {
        for body in [r#"{"inputs":[[1,2]]}"#, r#"{"inputs":{"x":[[1,2]]}}"#] {
            let request = one(body).unwrap();
            assert_eq!(request.form, Form::Column);
            assert_eq!(values(&request.inputs[0]), (vec![1, 2], vec![1, 2]));
        }
        assert_eq!(values(&one(r#"{"inputs":7}"#).unwrap().inputs[0]), (vec![], vec![7]));
    }

    #[test]
    fn a_base64_object_is_a_value_and_not_an_object_of_inputs() {
        let text = |body| decode(&[("x", DataType::Bytes)], body).unwrap().inputs.remove(0);
        for body in [r#"{"instances":[{"b64":"aGk="}]}"#, r#"{"inputs":{"b64":"aGk="}}"#] {
            assert_eq!(strings(&text(body)), ["hi"], "{body}");
        }
        let called_b64 = decode(&[("b64", DataType::Uint8)], r#"{"instances":[{"b64":[7]}]}"#);
        assert_eq!(values(&called_b64.unwrap().inputs[0]), (vec![1, 1], vec![7]));
    }

    #[test]
    fn keys_come_in_any_order_and_unknown_ones_are_stepped_over() {
        for body in [
            r#"{"signature_name":"serving_default","instances":[1]}"#,
            r#"{"instances":[1],"signature_name":"","extra":{"a":[]}}"#,
        ] {
            assert!(one(body).is_ok(), "{body}");
        }
    }

    #[test]
    fn what_follows_the_first_value_is_ignored() {
        assert!(one("{\"instances\":[1]} trailing \u{1} bytes").is_ok());
    }

    #[test]
    fn special_floats_are_read() {
        let body = r#"{"instances":[NaN,Infinity,-Infinity,1e999,-1e-999]}"#;
        let request = decode(&[("x", DataType::Fp32)], body).unwrap();
        let (_, bytes) = values(&request.inputs[0]);
        let floats: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|le| f32::from_le_bytes(*le)).collect();
        assert!(floats[0].is_nan());
        assert_eq!(floats[1..], [f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, -0.0]);
        assert!(decode(&[("x", DataType::Fp16)], r#"{"instances":[0.5]}"#).is_ok());
    }

    #[test]
    fn refusals_say_what_the_original_says() {
        for (body, expected) in [
            ("", "JSON Parse error: The document is empty"),
            (" \n", "JSON Parse error: The document is empty"),
            ("{\"instances\":[1", "JSON Parse error: "),
            ("[1]", "is not object"),
            ("{}", "Missing 'inputs' or 'instances' key"),
            (r#"{"instances":[1],"inputs":[1]}"#, "expecting only one of"),
            (r#"{"inputs":[1],"instances":[1]}"#, "expecting only one of"),
            (r#"{"instances":1}"#, "Expecting 'instances' to be a list/array"),
            (r#"{"instances":[]}"#, "No values in 'instances' array"),
            (r#"{"instances":[1],"signature_name":"other"}"#, "\"other\" not found"),
            (r#"{"instances":[1],"signature_name":1}"#, "must be a string value"),
            (r#"{"instances":[[1,2],[3]]}"#, "Expecting tensor size: 2 but got: 1"),
            (r#"{"instances":[[1],2]}"#, "Expecting shape"),
            (r#"{"instances":[1,{"x":1}]}"#, "Expecting value/list but got object"),
            (r#"{"instances":[{"x":1},1]}"#, "Expecting object but got value/list"),
            (r#"{"instances":[{"y":1}]}"#, "keys must be equal to: x"),
            (r#"{"instances":[{}]}"#, "keys must be equal to: x"),
            (r#"{"instances":[{"x":1,"x":1}]}"#, "keys must be equal to: x"),
            (r#"{"instances":[1.5]}"#, "expected UINT8, got 1.5"),
            (r#"{"instances":[{"b64":"aGk="}]}"#, "expected UINT8, got an object"),
        ] {
            let refused = one(body).unwrap_err().to_string();
            assert!(refused.contains(expected), "{body}: {refused}");
        }
        for (body, expected) in [
            (r#"{"instances":[1]}"#, "expecting list of objects"),
            (r#"{"inputs":[1]}"#, "expecting an object"),
            (r#"{"inputs":{"a":["s"]}}"#, "Missing named input: b"),
            (r#"{"instances":[{"a":"s"}]}"#, "keys must be equal to: a,b"),
            (
                r#"{"instances":[{"a":"s","b":1},{"a":"s","b":[1]}]}"#,
                "Failed to process element: 1 of 'instances' list. Error: input 'b': ragged",
            ),
        ] {
            let refused = two(body).unwrap_err().to_string();
            assert!(refused.contains(expected), "{body}: {refused}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let body = format!("{{\"instances\":{}", "[".repeat(100_000));
        let refused = one(&body).unwrap_err().to_string();
        assert_eq!(refused, "JSON nesting depth exceeds maximum allowed limit (100)");
    }
}
