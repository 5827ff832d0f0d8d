//! An infer request's body: the JSON, then the binary section behind it.

use bytes::Bytes;
use tidegate_inference::{Error, ParameterValue, Parameters, Signature, Tensor};

use super::binary::{self, HeaderLength, Section, raw_request};
use super::head::Head;
use super::parameters;
use super::reply::{Reply, read_output};
use crate::json::{JsonError, Kind, Reader, Result};
use crate::role::Role;
use crate::shared_memory::Regions;
use crate::{DecodeError, JsonLimits};

#[derive(Clone, Debug)]
pub struct InferRequest {
    pub parameters: Parameters,
    pub inputs: Vec<Tensor>,
    /// How the caller wants the answer; kept aside for [`super::encode_infer`].
    pub reply: Reply,
}

#[derive(Default)]
struct Envelope {
    parameters: Parameters,
    inputs: Option<Vec<Head>>,
    reply: Reply,
}

/// Decodes an infer request's body (decompressed). `json_length` is the header's value, if it was
/// sent; the signature is only consulted for raw binary requests, the regions for values in shared memory.
///
/// # Errors
/// When the body breaks the protocol; not when it does not suit the model.
pub fn decode_infer(
    body: &Bytes,
    json_length: Option<HeaderLength>,
    signature: &Signature,
    limits: JsonLimits,
    regions: &dyn Regions,
) -> Result<InferRequest, DecodeError> {
    let json_length = match json_length {
        Some(length) => length.within(body.len())?,
        None => body.len(),
    };
    if json_length == 0 && !body.is_empty() {
        let inputs = vec![raw_request(body, signature)?];
        let reply = Reply { binary_default: true, ..Reply::default() };
        return Ok(InferRequest { parameters: Parameters::new(), inputs, reply });
    }
    let envelope = Envelope::read(&body[..json_length], limits)
        .map_err(|error| error.within("failed to parse the request JSON buffer"))?;
    let heads = envelope.inputs.ok_or_else(|| {
        DecodeError::invalid(
            "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'",
        )
    })?;
    let inputs = fill(Role::Input, heads, body.slice(json_length..), regions)?;
    Ok(InferRequest { parameters: envelope.parameters, inputs, reply: envelope.reply })
}

/// Gives each tensor its bytes that does not have them.
pub(super) fn fill(
    role: Role,
    heads: Vec<Head>,
    rest: Bytes,
    regions: &dyn Regions,
) -> Result<Vec<Tensor>, DecodeError> {
    let mut section = Section::new(role, rest);
    let mut inputs = Vec::with_capacity(heads.len());
    for head in heads {
        inputs.push(match head {
            Head::Whole(tensor) => tensor,
            Head::Binary { name, datatype, shape, size } => {
                section.take(name, datatype, shape, size)?
            }
            Head::Shared { name, datatype, shape, window } => {
                let bytes = regions.read(&window).map_err(|error| within(role, &name, error))?;
                binary::tensor(role, name, datatype, shape, bytes)?
            }
        });
    }
    section.finish(inputs.len())?;
    Ok(inputs)
}

fn within(role: Role, name: &str, error: Error) -> Error {
    error.within(format_args!("{role} '{name}'"))
}

impl Envelope {
    fn read(json: &[u8], limits: JsonLimits) -> Result<Self> {
        let mut reader = Reader::new(json, limits);
        let mut envelope = Self::default();
        reader.object(|key, reader| envelope.field(key, reader))?;
        reader.finish()?;
        Ok(envelope)
    }

    fn field(&mut self, key: &str, reader: &mut Reader<'_>) -> Result<()> {
        // Some clients write what they leave out as null.
        let absent = reader.peek()? == Kind::Null;
        match key {
            "inputs" => self.read_inputs(reader),
            "id" | "outputs" | "parameters" if absent => reader.null(),
            "id" => {
                self.reply.id = Some(reader.string()?.into_owned());
                Ok(())
            }
            "outputs" => self.read_outputs(reader),
            "parameters" => parameters::read(reader, |key, value| self.parameter(key, value)),
            _ => reader.skip(),
        }
    }

    fn read_inputs(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        if self.inputs.is_some() {
            return Err(JsonError::refused("key 'inputs' is given twice"));
        }
        let mut inputs = Vec::new();
        reader.array(|reader| {
            inputs.push(Head::read(Role::Input, reader)?);
            Ok(())
        })?;
        self.inputs = Some(inputs);
        Ok(())
    }

    fn read_outputs(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        reader.array(|reader| {
            let output = read_output(reader)?;
            if self.reply.wish(&output.name).is_some() {
                return Err(JsonError::refused(format!(
                    "output '{}' is requested twice",
                    output.name
                )));
            }
            self.reply.outputs.push(output);
            Ok(())
        })
    }

    fn parameter(&mut self, key: &str, value: ParameterValue) -> Result<()> {
        if key.starts_with("triton_") {
            return Err(JsonError::refused(format!(
                "parameter '{key:.64}': keys starting with 'triton_' are reserved"
            )));
        }
        if key == "binary_data_output" {
            self.reply.binary_default = parameters::as_bool(key, &value)?;
        } else {
            self.parameters.insert(key.to_owned(), value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{DataType, Dim, Shape, TensorData, TensorSpec};

    use super::*;
    use crate::shared_memory::NoRegions;

    fn no_signature() -> Signature {
        Signature { inputs: vec![], outputs: vec![] }
    }

    fn decode(json: &str) -> Result<InferRequest, DecodeError> {
        let body = Bytes::copy_from_slice(json.as_bytes());
        decode_infer(&body, None, &no_signature(), JsonLimits::default(), &NoRegions)
    }

    fn decode_binary(json: &str, rest: &[u8]) -> Result<InferRequest, DecodeError> {
        let body = Bytes::from([json.as_bytes(), rest].concat());
        let length = HeaderLength::parse(json.len().to_string().as_bytes()).unwrap();
        decode_infer(&body, Some(length), &no_signature(), JsonLimits::default(), &NoRegions)
    }

    fn refusal(json: &str) -> String {
        let refusal = decode(json).unwrap_err();
        assert_eq!(refusal.status(), None, "{refusal}");
        refusal.to_string()
    }

    /// A request with one input that has these members.
    fn input(members: &str) -> String {
        format!("{{\"inputs\":[{{{members}}}]}}")
    }

    fn fixed(tensor: &Tensor) -> &[u8] {
        match tensor.data() {
            TensorData::Fixed(bytes) => bytes,
            TensorData::Strings(_) => panic!("not a BYTES tensor"),
        }
    }

    #[test]
    fn every_json_datatype_becomes_its_little_endian_bytes() {
        for (datatype, data, bytes) in [
            ("BOOL", "true,false", &[1, 0][..]),
            ("UINT8", "0,255", &[0, 255]),
            ("INT8", "-1,127", &[255, 127]),
            ("UINT16", "1,256", &[1, 0, 0, 1]),
            ("INT16", "-2,1", &[254, 255, 1, 0]),
            ("UINT32", "1,4294967295", &[1, 0, 0, 0, 255, 255, 255, 255]),
            ("INT32", "1,-1", &[1, 0, 0, 0, 255, 255, 255, 255]),
            ("FP32", "1,-0.5", &[0, 0, 128, 63, 0, 0, 0, 191]),
            ("FP64", "1,0", &[0, 0, 0, 0, 0, 0, 240, 63, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("INT64", "1,0", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("UINT64", "1,0", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let json = input(&format!(
                r#""name":"x","shape":[2],"datatype":"{datatype}","data":[{data}]"#
            ));
            let request = decode(&json).unwrap();
            assert_eq!(fixed(&request.inputs[0]), bytes, "{datatype}");
        }
        let json = input(r#""name":"x","shape":[2],"datatype":"BYTES","data":["a","\u00e9"]"#);
        let strings = vec![Bytes::from("a"), Bytes::from("é")];
        assert_eq!(*decode(&json).unwrap().inputs[0].data(), TensorData::Strings(strings));
    }

    #[test]
    fn data_may_come_before_the_datatype_that_says_how_to_read_it() {
        for members in [
            r#""data":[1,2],"shape":[2],"datatype":"INT32","name":"x""#,
            r#""datatype":"INT32","data":[1,2],"name":"x","shape":[2]"#,
            r#""name":"x","shape":[2],"datatype":"INT32","data":[1,2]"#,
        ] {
            let request = decode(&input(members)).unwrap();
            assert_eq!(fixed(&request.inputs[0]), [1, 0, 0, 0, 2, 0, 0, 0], "{members}");
        }
    }

    #[test]
    fn nested_data_is_flattened_and_ragged_data_refused() {
        let with = |data: &str| {
            input(&format!(r#""name":"x","shape":[2,2],"datatype":"UINT8","data":{data}"#))
        };
        for data in ["[1,2,3,4]", "[[1,2],[3,4]]", "[[1],[2],[3],[4]]"] {
            assert_eq!(fixed(&decode(&with(data)).unwrap().inputs[0]), [1, 2, 3, 4], "{data}");
        }
        assert!(refusal(&with("[[1,2,3],[4]]")).contains("Expecting tensor size: 3 but got: 1"));
        assert!(refusal(&with("1")).contains("expected an array, got a number"));
        assert_eq!(
            refusal(&with("[1,2,3]")),
            "input 'x': Shape does not match true shape of 'data' field: [2,2] has 4 elements, got 3"
        );
    }

    #[test]
    fn nan_and_infinity_literals_are_read() {
        let json =
            input(r#""name":"x","shape":[3],"datatype":"FP32","data":[NaN,-Infinity,1e999]"#);
        let request = decode(&json).unwrap();
        let (values, _) = fixed(&request.inputs[0]).as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|le| f32::from_le_bytes(*le)).collect();
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [f32::NEG_INFINITY, f32::INFINITY]);
    }

    #[test]
    fn half_floats_have_no_json_form() {
        for datatype in ["FP16", "BF16"] {
            let json =
                input(&format!(r#""name":"x","shape":[1],"datatype":"{datatype}","data":[1]"#));
            assert_eq!(
                refusal(&json),
                format!(
                    "receiving {datatype} data via JSON is not supported. Please use the binary \
                     data format for input 'x'"
                )
            );
        }
    }

    #[test]
    fn a_negative_dimension_is_the_one_fault_that_is_answered_500() {
        let json = input(r#""name":"x","shape":[-1,2],"datatype":"FP32","data":[]"#);
        let refused = decode(&json).unwrap_err();
        assert_eq!(refused.status(), Some(500));
        assert!(
            refused.to_string().starts_with(
                "Unable to parse 'shape': attempt to access JSON non-unsigned-integer"
            )
        );
        for shape in ["[1.5]", "[\"1\"]", "[1e9]", "[99999999999999999999]", "[null]"] {
            let json = input(&format!(r#""name":"x","shape":{shape},"datatype":"FP32","data":[]"#));
            assert!(refusal(&json).starts_with("Unable to parse 'shape'"), "{shape}");
        }
    }

    #[test]
    fn enormous_declared_shapes_are_refused_without_memory() {
        for shape in ["[1000000000]", "[1000000000,8]", "[4294967296,4294967296]"] {
            let json =
                input(&format!(r#""name":"x","shape":{shape},"datatype":"FP64","data":[1]"#));
            assert!(refusal(&json).contains("input 'x'"), "{shape}");
            let json = input(&format!(
                r#""name":"x","shape":{shape},"datatype":"BYTES","parameters":{{"binary_data_size":4}}"#
            ));
            assert!(decode_binary(&json, &[0; 4]).is_err(), "{shape}");
        }
        let rank_33 = vec!["1"; 33].join(",");
        let json =
            input(&format!(r#""name":"x","shape":[{rank_33}],"datatype":"FP64","data":[1]"#));
        assert!(refusal(&json).contains("more than 32 dimensions"));
    }

    #[test]
    fn what_is_missing_or_said_twice_is_named() {
        for (json, expected) in [
            ("", "failed to parse the request JSON buffer: "),
            ("[]", "failed to parse the request JSON buffer: Invalid value. at offset 0"),
            ("{}", "Unable to parse 'inputs'"),
            ("{\"inputs\":[]} x", "must not be followed by other values"),
            (r#"{"inputs":[],"inputs":[]}"#, "'inputs' is given twice"),
            (r#"{"inputs":[{"shape":[1],"datatype":"FP32","data":[1]}]}"#, "member 'name'"),
            (r#"{"inputs":[{"name":"x","datatype":"FP32","data":[1]}]}"#, "member 'shape'"),
            (r#"{"inputs":[{"name":"x","shape":[1],"data":[1]}]}"#, "member 'datatype'"),
            (r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32"}]}"#, "member 'data'"),
            (r#"{"inputs":[{"name":"x","name":"y"}]}"#, "'name' is given twice"),
            (
                r#"{"inputs":[{"name":"x","datatype":"FLOAT"}]}"#,
                "input 'x': unknown datatype 'FLOAT'",
            ),
            (r#"{"inputs":[],"outputs":[{"name":"y"},{"name":"y"}]}"#, "'y' is requested twice"),
            (r#"{"inputs":[],"outputs":[{}]}"#, "no 'name'"),
            (r#"{"inputs":[],"parameters":{"a":[1]}}"#, "expected a string, number or boolean"),
            (r#"{"inputs":[],"parameters":{"triton_x":1}}"#, "are reserved"),
            (r#"{"inputs":[],"parameters":{"binary_data_output":1}}"#, "expected a boolean"),
            (
                r#"{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":0}}]}"#,
                "must be greater than 0",
            ),
        ] {
            assert!(refusal(json).contains(expected), "{json}: {}", refusal(json));
        }
        let twice = r#""name":"x","shape":[1],"datatype":"UINT8","data":[1],"data":[2]"#;
        assert!(refusal(&input(twice)).contains("'data' is given twice"));
    }

    #[test]
    fn unknown_members_and_nulls_are_stepped_over() {
        let request = decode(
            r#"{"id":null,"extra":{"a":[NaN,{}]},"outputs":null,"parameters":null,"inputs":[
                {"name":"x","shape":[1],"datatype":"UINT8","parameters":null,"more":[],"data":[1]}]}"#,
        )
        .unwrap();
        assert_eq!(request.reply, Reply::default());
        assert_eq!(request.inputs.len(), 1);
    }

    #[test]
    fn ids_parameters_and_wishes_are_kept() {
        let request = decode(
            r#"{"id":"7","inputs":[],"parameters":{"binary_data_output":true,"priority":1,
                "big":18446744073709551615,"ratio":0.5,"on":true,"tag":"t"},
                "outputs":[{"name":"a","parameters":{"binary_data":false}},
                           {"name":"b","parameters":{"classification":3}}]}"#,
        )
        .unwrap();
        assert_eq!(request.reply.id.as_deref(), Some("7"));
        assert_eq!(request.reply.output_names(), ["a".into(), "b".into()]);
        assert!(!request.reply.is_binary("a") && request.reply.is_binary("b"));
        assert_eq!(request.reply.outputs[1].classification, Some(3));
        let expected = [
            ("big", ParameterValue::Uint64(u64::MAX)),
            ("on", ParameterValue::Bool(true)),
            ("priority", ParameterValue::Int64(1)),
            ("ratio", ParameterValue::Double(0.5)),
            ("tag", ParameterValue::String("t".into())),
        ];
        assert!(request.parameters.iter().map(|(key, value)| (&**key, value.clone())).eq(expected));
    }

    #[test]
    fn json_nested_too_deep_is_refused_wherever_it_is() {
        for json in [
            format!("{{\"x\":{}{}}}", "[".repeat(100), "]".repeat(100)),
            input(&format!(
                r#""name":"x","shape":[1],"datatype":"UINT8","data":{}1{}"#,
                "[".repeat(98),
                "]".repeat(98)
            )),
        ] {
            assert_eq!(refusal(&json), "JSON nesting depth exceeds maximum allowed limit (100)");
        }
    }

    #[test]
    fn truncated_json_is_refused_at_every_length() {
        let json = input(r#""name":"x","shape":[2],"datatype":"FP32","data":[1.5,-2e3]"#);
        for length in 0..json.len() {
            assert!(decode(&json[..length]).is_err(), "{}", &json[..length]);
        }
    }

    const TWO_BINARY: &str = r#"{"inputs":[
        {"name":"a","shape":[2],"datatype":"UINT16","parameters":{"binary_data_size":4}},
        {"name":"j","shape":[1],"datatype":"UINT8","data":[9]},
        {"name":"s","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":9}}]}"#;

    #[test]
    fn binary_and_json_inputs_mix_and_binary_ones_are_windows_into_the_body() {
        let rest = [1, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'z'];
        let body = Bytes::from([TWO_BINARY.as_bytes(), &rest].concat());
        let length = HeaderLength::parse(TWO_BINARY.len().to_string().as_bytes()).unwrap();
        let request =
            decode_infer(&body, Some(length), &no_signature(), JsonLimits::default(), &NoRegions)
                .unwrap();
        assert_eq!(fixed(&request.inputs[0]), [1, 0, 2, 0]);
        assert!(body.as_ptr_range().contains(&fixed(&request.inputs[0]).as_ptr()));
        assert_eq!(fixed(&request.inputs[1]), [9]);
        let strings = vec![Bytes::new(), Bytes::from("z")];
        assert_eq!(*request.inputs[2].data(), TensorData::Strings(strings));
    }

    #[test]
    fn a_binary_section_of_the_wrong_size_is_refused() {
        let refusal = |rest: &[u8]| decode_binary(TWO_BINARY, rest).unwrap_err().to_string();
        assert_eq!(
            refusal(&[0; 3]),
            "unexpected size for input 'a', expecting 1 additional bytes for model"
        );
        assert!(refusal(&[0; 20]).contains("incomplete string length data"));
        assert!(refusal(&[0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]).contains("string of length 9"));
        let exact = [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(refusal(&exact).contains("unexpected number of string elements 1"));
        let good = [1, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'z', 1];
        assert!(refusal(&good).starts_with("unexpected additional input data for model"));
    }

    #[test]
    fn binary_values_must_fit_their_datatype_and_shape() {
        let one = |datatype: &str, size: usize| {
            input(&format!(
                r#""name":"x","shape":[2],"datatype":"{datatype}","parameters":{{"binary_data_size":{size}}}"#
            ))
        };
        assert!(
            decode_binary(&one("BOOL", 2), &[1, 2])
                .unwrap_err()
                .to_string()
                .contains("BOOL bytes of 0 or 1, got 2")
        );
        assert_eq!(
            decode_binary(&one("FP32", 4), &[0; 4]).unwrap_err().to_string(),
            "input byte size mismatch for input 'x'. Expected 8, got 4"
        );
        assert!(decode_binary(&one("FP16", 4), &[0; 4]).is_ok());
        let both = input(
            r#""name":"x","shape":[1],"datatype":"UINT8","data":[1],"parameters":{"binary_data_size":1}"#,
        );
        assert!(decode_binary(&both, &[1]).unwrap_err().to_string().contains("not both"));
    }

    #[test]
    fn header_lengths_out_of_range_are_refused() {
        for text in ["", "x", "1.5", "2147483648", "0x10"] {
            let refused = HeaderLength::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.starts_with("Unable to parse Inference-Header-Content-Length"));
        }
        for (text, size) in [("-1", 2), ("3", 2)] {
            let length = HeaderLength::parse(text.as_bytes()).unwrap();
            assert_eq!(
                length.within(size).unwrap_err().to_string(),
                format!("inference header size should be in range (0, 2), got: {text}")
            );
        }
    }

    #[test]
    fn a_raw_binary_request_takes_name_type_and_shape_from_the_model() {
        let raw = |datatype, dims: &[Dim], body: &'static [u8]| {
            let spec = TensorSpec { name: "x".into(), datatype, shape: dims.to_vec() };
            let signature = Signature { inputs: vec![spec], outputs: vec![] };
            let length = HeaderLength::parse(b"0").unwrap();
            let body = Bytes::from_static(body);
            decode_infer(&body, Some(length), &signature, JsonLimits::default(), &NoRegions)
        };
        let shape = |request: InferRequest| {
            assert!(request.reply.is_binary("y"));
            request.inputs[0].shape().clone()
        };
        let open = [Dim::Dynamic, Dim::Fixed(2)];
        assert_eq!(shape(raw(DataType::Uint16, &open, &[0; 4]).unwrap()), Shape::new(&[1, 2]));
        let longer = [Dim::Dynamic, Dim::Dynamic, Dim::Fixed(2)];
        assert_eq!(shape(raw(DataType::Uint8, &longer, &[0; 6]).unwrap()), Shape::new(&[1, 3, 2]));
        let text = raw(DataType::Bytes, &[Dim::Dynamic, Dim::Fixed(1)], b"hello").unwrap();
        let hello = TensorData::Strings(vec![Bytes::from("hello")]);
        assert_eq!(*text.inputs[0].data(), hello);
        for (datatype, dims, body) in [
            (DataType::Uint16, &open[..], &[0; 5][..]),
            (DataType::Uint8, &[Dim::Dynamic; 3], &[0; 4]),
            (DataType::Bytes, &open, b"two?"),
            (DataType::Uint8, &[Dim::Fixed(0), Dim::Dynamic], &[0; 4]),
        ] {
            assert!(raw(datatype, dims, body).is_err(), "{datatype} {dims:?}");
        }
    }
}
