//! An infer response's body: JSON, then the outputs that were wished for in binary form. Their bytes
//! are the model's own; they are appended as chunks and not copied.

use std::borrow::Cow;

use bytes::Bytes;
use tidegate_inference::{DataType, Error, ModelName, Tensor, TensorData, Version};

use super::Reply;
use super::binary::serialize;
use super::classification::classify;
use crate::json::{TextForm, write_flat, write_json};
use crate::role::Role;
use crate::shared_memory::{self, Regions, Window};

/// A body in pieces: JSON first, then the binary tensors, which are not copied.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// Value for [`super::JSON_LENGTH_HEADER`] when binary follows.
    pub json_length: Option<usize>,
    pub chunks: Vec<Bytes>,
}

impl Encoded {
    pub fn content_type(&self) -> &'static str {
        if self.json_length.is_some() { "application/octet-stream" } else { "application/json" }
    }

    /// Bytes of all chunks together.
    pub fn byte_size(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

/// `outputs` as the model answered them: those that `reply` names, in its order, or all.
///
/// # Errors
/// When an output cannot be written in the form that was wished for.
pub fn encode_infer(
    model: &ModelName,
    version: Version,
    reply: &Reply,
    outputs: &[Tensor],
    regions: &dyn Regions,
) -> Result<Encoded, Error> {
    let mut json = Vec::with_capacity(256 + 12 * json_elements(reply, outputs));
    let mut chunks = vec![Bytes::new()];
    json.extend_from_slice(b"{\"model_name\":");
    write_json(&mut json, model.as_str());
    json.extend_from_slice(b",\"model_version\":\"");
    write_json(&mut json, &version.get());
    json.push(b'"');
    if let Some(id) = &reply.id {
        json.extend_from_slice(b",\"id\":");
        write_json(&mut json, id);
    }
    json.extend_from_slice(b",\"outputs\":[");
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        let output = classified(reply, output)?;
        if let Some(window) = reply.shared(output.name()) {
            write_shared(&mut json, &output, window, regions)?;
            continue;
        }
        let binary = reply.is_binary(output.name());
        write_tensor(&mut json, &mut chunks, Role::Output, binary, &output)?;
    }
    json.extend_from_slice(b"]}");
    let json_length = (chunks.len() > 1).then_some(json.len());
    chunks[0] = json.into();
    Ok(Encoded { json_length, chunks })
}

/// The output, or its best classes where those were wished for.
pub(crate) fn classified<'o>(reply: &Reply, output: &'o Tensor) -> Result<Cow<'o, Tensor>, Error> {
    Ok(match reply.wish(output.name()).and_then(|wish| wish.classification) {
        Some(classes) => Cow::Owned(classify(output, classes)?),
        None => Cow::Borrowed(output),
    })
}

fn json_elements(reply: &Reply, outputs: &[Tensor]) -> usize {
    outputs.iter().filter(|output| !reply.is_binary(output.name())).map(Tensor::elements).sum()
}

/// One element of `outputs` or of a request's `inputs`.
pub(super) fn write_tensor(
    json: &mut Vec<u8>,
    chunks: &mut Vec<Bytes>,
    role: Role,
    binary: bool,
    tensor: &Tensor,
) -> Result<(), Error> {
    write_head(json, tensor);
    if binary {
        let bytes = serialize(tensor)?;
        json.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
        write_json(json, &bytes.len());
        json.push(b'}');
        if !bytes.is_empty() {
            chunks.push(bytes);
        }
    } else {
        check_json(role, tensor)?;
        json.extend_from_slice(b",\"data\":");
        write_flat(json, tensor, TextForm::Plain);
    }
    json.push(b'}');
    Ok(())
}

/// An output that is elsewhere: what it is, and where it was written.
fn write_shared(
    json: &mut Vec<u8>,
    tensor: &Tensor,
    window: &Window,
    regions: &dyn Regions,
) -> Result<(), Error> {
    let byte_size = shared_memory::put(regions, window, tensor)?;
    write_head(json, tensor);
    json.extend_from_slice(b",\"parameters\":{\"shared_memory_region\":");
    write_json(json, &window.region);
    json.extend_from_slice(b",\"shared_memory_byte_size\":");
    write_json(json, &byte_size);
    if window.offset > 0 {
        json.extend_from_slice(b",\"shared_memory_offset\":");
        write_json(json, &window.offset);
    }
    json.extend_from_slice(b"}}");
    Ok(())
}

fn write_head(json: &mut Vec<u8>, tensor: &Tensor) {
    json.extend_from_slice(b"{\"name\":");
    write_json(json, &**tensor.name());
    json.extend_from_slice(b",\"datatype\":\"");
    json.extend_from_slice(tensor.datatype().name().as_bytes());
    json.extend_from_slice(b"\",\"shape\":");
    write_json(json, &**tensor.shape());
}

/// Half floats have no place in the protocol's JSON, nor has text that is none.
fn check_json(role: Role, tensor: &Tensor) -> Result<(), Error> {
    let name = tensor.name();
    if matches!(tensor.datatype(), DataType::Fp16 | DataType::Bf16) {
        return Err(Error::invalid(format!(
            "sending {} data via JSON is not supported. Please use the binary data format for {role} \
             '{name}'",
            tensor.datatype()
        )));
    }
    if let TensorData::Strings(strings) = tensor.data()
        && let Some(index) = strings.iter().position(|string| std::str::from_utf8(string).is_err())
    {
        return Err(Error::invalid(format!(
            "{role} '{name}': element {index} is not UTF-8. Please use the binary data format"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_inference::{Shape, Signature};

    use super::*;
    use crate::JsonLimits;
    use crate::any::{any_tensor, same_values};
    use crate::open_inference::{HeaderLength, RequestedOutput, decode_infer};
    use crate::shared_memory::NoRegions;

    fn tensor(name: &str, datatype: DataType, shape: &[usize], bytes: Vec<u8>) -> Tensor {
        Tensor::new(name, datatype, Shape::new(shape), TensorData::Fixed(bytes.into())).unwrap()
    }

    fn text(name: &str, strings: &[&'static [u8]]) -> Tensor {
        let data = strings.iter().map(|string| Bytes::from_static(string)).collect();
        let shape = Shape::new(&[strings.len()]);
        Tensor::new(name, DataType::Bytes, shape, TensorData::Strings(data)).unwrap()
    }

    fn encode(reply: &Reply, outputs: &[Tensor]) -> Result<Encoded, Error> {
        let (model, version) = (ModelName::new("m").unwrap(), Version::new(3).unwrap());
        encode_infer(&model, version, reply, outputs, &NoRegions)
    }

    fn wish(name: &str, binary: Option<bool>, classification: Option<usize>) -> Reply {
        let outputs =
            vec![RequestedOutput { name: name.into(), binary, classification, shared: None }];
        Reply { outputs, ..Reply::default() }
    }

    #[test]
    fn json_outputs_and_an_id_only_if_there_was_one() {
        let outputs = [tensor("y", DataType::Uint8, &[2, 1], vec![1, 2]), text("s", &[b"a\"b"])];
        let mut reply = Reply::default();
        let encoded = encode(&reply, &outputs).unwrap();
        assert_eq!((encoded.json_length, encoded.content_type()), (None, "application/json"));
        let body = r#""outputs":[{"name":"y","datatype":"UINT8","shape":[2,1],"data":[1,2]},{"name":"s","datatype":"BYTES","shape":[1],"data":["a\"b"]}]}"#;
        let head = r#"{"model_name":"m","model_version":"3","#;
        assert_eq!(encoded.chunks, [format!("{head}{body}")]);
        reply.id = Some("i\"d".into());
        let encoded = encode(&reply, &outputs).unwrap();
        assert_eq!(encoded.chunks, [format!("{head}\"id\":\"i\\\"d\",{body}")]);
    }

    #[test]
    fn binary_outputs_follow_the_json_without_a_copy() {
        let outputs = [
            tensor("y", DataType::Fp16, &[2], vec![1, 2, 3, 4]),
            text("s", &[b"\xff", b""]),
            tensor("e", DataType::Fp32, &[0], vec![]),
        ];
        let reply = Reply { binary_default: true, ..Reply::default() };
        let encoded = encode(&reply, &outputs).unwrap();
        assert_eq!(encoded.json_length, Some(encoded.chunks[0].len()));
        assert_eq!(encoded.content_type(), "application/octet-stream");
        assert_eq!(encoded.chunks[1..], [&[1_u8, 2, 3, 4][..], &[1, 0, 0, 0, 255, 0, 0, 0, 0]]);
        let TensorData::Fixed(bytes) = outputs[0].data() else { panic!("FP16") };
        assert_eq!(encoded.chunks[1].as_ptr(), bytes.as_ptr());
        assert_eq!(encoded.byte_size(), encoded.chunks[0].len() + 13);
        let json = std::str::from_utf8(&encoded.chunks[0]).unwrap();
        for size in ["size\":4}", "size\":9}", "size\":0}"] {
            assert!(json.contains(size), "{json}");
        }
    }

    #[test]
    fn an_answer_with_only_empty_binary_outputs_is_plain_json() {
        let reply = Reply { binary_default: true, ..Reply::default() };
        let encoded = encode(&reply, &[tensor("e", DataType::Fp32, &[0], vec![])]).unwrap();
        assert_eq!(encoded.content_type(), "application/json");
    }

    #[test]
    fn the_wish_of_an_output_beats_the_default() {
        let outputs = [tensor("y", DataType::Uint8, &[1], vec![1])];
        assert_eq!(encode(&wish("y", Some(true), None), &outputs).unwrap().chunks.len(), 2);
        let reply = Reply { binary_default: true, ..wish("y", Some(false), None) };
        assert_eq!(encode(&reply, &outputs).unwrap().chunks.len(), 1);
    }

    #[test]
    fn classification_answers_in_either_form() {
        let outputs = [tensor("y", DataType::Uint8, &[1, 3], vec![1, 9, 2])];
        let encoded = encode(&wish("y", None, Some(2)), &outputs).unwrap();
        let json = std::str::from_utf8(&encoded.chunks[0]).unwrap();
        let expected = r#"{"name":"y","datatype":"BYTES","shape":[1,2],"data":["9:1","2:2"]}"#;
        assert!(json.contains(expected), "{json}");
        let encoded = encode(&wish("y", Some(true), Some(1)), &outputs).unwrap();
        assert_eq!(encoded.chunks[1], &b"\x03\0\0\09:1"[..]);
    }

    #[test]
    fn what_json_cannot_say_is_refused_with_the_way_out() {
        for output in [
            tensor("y", DataType::Fp16, &[1], vec![0; 2]),
            tensor("y", DataType::Bf16, &[1], vec![0; 2]),
            text("y", &[b"ok", b"\xff"]),
        ] {
            let refused = encode(&Reply::default(), &[output]).unwrap_err();
            assert!(refused.message().contains("Please use the binary data format"), "{refused}");
        }
    }

    /// The answer read as a request: outputs and inputs look the same on this wire.
    fn read_back(encoded: &Encoded) -> Tensor {
        let body = encoded.chunks.concat();
        let text = String::from_utf8_lossy(&body[..encoded.chunks[0].len()]).into_owned();
        let json = text.replacen("\"outputs\"", "\"inputs\"", 1);
        let length = HeaderLength::parse(json.len().to_string().as_bytes()).unwrap();
        let body = Bytes::from([json.as_bytes(), &body[encoded.chunks[0].len()..]].concat());
        let signature = Signature { inputs: vec![], outputs: vec![] };
        let request =
            decode_infer(&body, Some(length), &signature, JsonLimits::default(), &NoRegions)
                .unwrap();
        request.inputs[0].clone()
    }

    proptest! {
        #[test]
        fn every_tensor_survives_the_binary_wire_bit_for_bit(tensor in any_tensor("t")) {
            let reply = Reply { binary_default: true, ..Reply::default() };
            let encoded = encode(&reply, std::slice::from_ref(&tensor)).unwrap();
            prop_assert_eq!(read_back(&encoded), tensor);
        }

        #[test]
        fn every_tensor_survives_the_json_wire(tensor in any_tensor("t")) {
            prop_assume!(!matches!(tensor.datatype(), DataType::Fp16 | DataType::Bf16));
            let encoded = encode(&Reply::default(), std::slice::from_ref(&tensor)).unwrap();
            let back = read_back(&encoded);
            prop_assert!(same_values(&back, &tensor));
        }
    }
}
