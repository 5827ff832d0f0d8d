//! The body of `:predict`, row form (`instances`) or column form (`inputs`), read in one pass in
//! whatever order its keys come. What follows the first JSON value is ignored, as the original does.

use tidegate_inference::{Signature, Tensor, TensorSpec};

use super::{Form, SIGNATURE_NAME};
use crate::json::{JsonError, Kind, Reader, Result, TensorReader, Text};
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
        let inputs = match form {
            Form::Row => rows(reader, &signature.inputs)?,
            Form::Column => columns(reader, &signature.inputs)?,
        };
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

fn rows(reader: &mut Reader<'_>, specs: &[TensorSpec]) -> Result<Vec<Tensor>> {
    if reader.peek()? != Kind::Array {
        return Err(JsonError::refused("Expecting 'instances' to be a list/array"));
    }
    let mut rows = Rows { specs, tensors: Vec::new(), named: false, count: 0 };
    reader.array(|reader| {
        rows.read(reader).map_err(|error| match *error {
            JsonError::Refused(refusal) => refusal
                .within(format_args!(
                    "Failed to process element: {} of 'instances' list. Error",
                    rows.count
                ))
                .into(),
            _ => error,
        })?;
        rows.count += 1;
        Ok(())
    })?;
    if rows.count == 0 {
        return Err(JsonError::refused("No values in 'instances' array"));
    }
    rows.tensors.into_iter().map(|tensor| tensor.finish_items(rows.count)).collect()
}

struct Rows<'s> {
    specs: &'s [TensorSpec],
    /// One for each input, once the first instance was seen.
    tensors: Vec<TensorReader<'s>>,
    /// Instances are objects with a member for each input.
    named: bool,
    count: usize,
}

impl Rows<'_> {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let named = is_named(reader, self.specs)?;
        if self.count == 0 {
            self.named = named;
            self.tensors = self
                .specs
                .iter()
                .map(|spec| TensorReader::of_items(&spec.name, spec.datatype, Text::OrBase64))
                .collect();
        } else if named != self.named {
            return Err(JsonError::refused(if named {
                "Expecting value/list but got object"
            } else {
                "Expecting object but got value/list"
            }));
        }
        if named {
            return self.read_object(reader);
        }
        match &mut self.tensors[..] {
            [tensor] => tensor.item(reader),
            tensors => Err(JsonError::refused(format!(
                "instances is a plain list, but expecting list of objects as the model has {} inputs",
                tensors.len()
            ))),
        }
    }

    fn read_object(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let (specs, tensors) = (self.specs, &mut self.tensors);
        let mut given = vec![false; specs.len()];
        reader.object(|key, reader| {
            let Some(place) = specs.iter().position(|spec| &*spec.name == key) else {
                return Err(wrong_keys(specs, &format!("does not have named input: {key:.64}")));
            };
            if std::mem::replace(&mut given[place], true) {
                return Err(wrong_keys(specs, &format!("key '{key}' is given twice")));
            }
            tensors[place].item(reader)
        })?;
        match given.iter().position(|given| !given) {
            None => Ok(()),
            Some(place) => {
                Err(wrong_keys(specs, &format!("key '{}' is missing", specs[place].name)))
            }
        }
    }
}

fn columns(reader: &mut Reader<'_>, specs: &[TensorSpec]) -> Result<Vec<Tensor>> {
    if !is_named(reader, specs)? {
        let [spec] = specs else {
            return Err(JsonError::refused(format!(
                "inputs is a plain value/list, but expecting an object as the model has {} inputs",
                specs.len()
            )));
        };
        return Ok(vec![column(reader, spec)?]);
    }
    let mut tensors: Vec<Option<Tensor>> = vec![None; specs.len()];
    reader.object(|key, reader| {
        let Some(place) = specs.iter().position(|spec| &*spec.name == key) else {
            return Err(wrong_keys(specs, &format!("does not have named input: {key:.64}")));
        };
        match tensors[place].replace(column(reader, &specs[place])?) {
            None => Ok(()),
            Some(_) => Err(wrong_keys(specs, &format!("key '{key}' is given twice"))),
        }
    })?;
    tensors
        .into_iter()
        .zip(specs)
        .map(|(tensor, spec)| {
            tensor.ok_or_else(|| {
                JsonError::refused(format!(
                    "Missing named input: {} in 'inputs' object.",
                    spec.name
                ))
            })
        })
        .collect()
}

fn column(reader: &mut Reader<'_>, spec: &TensorSpec) -> Result<Tensor> {
    let mut tensor = TensorReader::new(&spec.name, spec.datatype, Text::OrBase64);
    tensor.value(reader)?;
    tensor.finish()
}

/// The next value is an object of named inputs, not a `{"b64": ...}` value. The first key decides, so
/// that a large object is not read twice.
fn is_named(reader: &mut Reader<'_>, specs: &[TensorSpec]) -> Result<bool> {
    if reader.peek()? != Kind::Object {
        return Ok(false);
    }
    let input_is_called_b64 = specs.iter().any(|spec| &*spec.name == "b64");
    Ok(input_is_called_b64 || reader.first_key()?.as_deref() != Some("b64"))
}

#[cold]
fn wrong_keys(specs: &[TensorSpec], problem: &str) -> Box<JsonError> {
    let mut names: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
    names.sort_unstable();
    JsonError::refused(format!(
        "JSON object: {problem}; keys must be equal to: {}",
        names.join(",")
    ))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate_inference::{DataType, Dim, TensorData};

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
