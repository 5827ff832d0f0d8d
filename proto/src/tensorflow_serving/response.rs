//! The answer to `:predict`, in the form of its request.

use bytes::Bytes;
use tidegate_inference::{Error, Tensor};

use super::Form;
use crate::json::{TextForm, write_item, write_json, write_nested};
use crate::role::Role;

/// One output is answered bare, several as objects by name.
///
/// # Errors
/// In row form, when an output has no rows or outputs disagree about their number.
pub fn encode_predict(form: Form, outputs: &[Tensor]) -> Result<Bytes, Error> {
    let elements: usize = outputs.iter().map(Tensor::elements).sum();
    let mut out = Vec::with_capacity(64 + 12 * elements);
    out.push(b'{');
    write_member(&mut out, form, Role::Output, outputs)?;
    out.push(b'}');
    Ok(out.into())
}

/// The body's member that holds all tensors: `"predictions":[...]` and the like.
pub(super) fn write_member(
    out: &mut Vec<u8>,
    form: Form,
    role: Role,
    tensors: &[Tensor],
) -> Result<(), Error> {
    write_json(out, form.key(role));
    out.push(b':');
    match form {
        Form::Row => {
            out.push(b'[');
            for row in 0..rows(tensors)? {
                if row > 0 {
                    out.push(b',');
                }
                write_tensors(out, tensors, |out, tensor| {
                    write_item(out, tensor, row, text_form(tensor));
                });
            }
            out.push(b']');
        }
        Form::Column => write_tensors(out, tensors, |out, tensor| {
            write_nested(out, tensor, text_form(tensor));
        }),
    }
    Ok(())
}

/// `{ "error": "..." }`, with the original's spaces: some clients compare text.
pub fn error_body(message: &str) -> Bytes {
    let mut out = b"{ \"error\": ".to_vec();
    write_json(&mut out, message);
    out.extend_from_slice(b" }");
    out.into()
}

fn write_tensors(
    out: &mut Vec<u8>,
    tensors: &[Tensor],
    mut write: impl FnMut(&mut Vec<u8>, &Tensor),
) {
    if let [tensor] = tensors {
        return write(out, tensor);
    }
    out.push(b'{');
    for (index, tensor) in tensors.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_json(out, &**tensor.name());
        out.push(b':');
        write(out, tensor);
    }
    out.push(b'}');
}

/// The length that all tensors share along their first dimension.
fn rows(tensors: &[Tensor]) -> Result<usize, Error> {
    let mut rows = None;
    for tensor in tensors {
        let Some(&own) = tensor.shape().first() else {
            return Err(Error::invalid(format!(
                "Tensor name: {} has no shape information, so no rows: ask in column form",
                tensor.name()
            )));
        };
        match rows.replace(own) {
            Some(expected) if expected != own => {
                return Err(Error::invalid(format!(
                    "Tensor name: {} has inconsistent batch size: {own} expecting: {expected}",
                    tensor.name()
                )));
            }
            _ => {}
        }
    }
    Ok(rows.unwrap_or(0))
}

/// Tensors called `..._bytes` are binary by convention.
fn text_form(tensor: &Tensor) -> TextForm {
    if tensor.name().ends_with("_bytes") { TextForm::Base64 } else { TextForm::Plain }
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{DataType, Shape, TensorData};

    use super::*;

    fn uint8(name: &str, shape: &[usize], values: &[u8]) -> Tensor {
        let data = TensorData::Fixed(values.to_vec().into());
        Tensor::new(name, DataType::Uint8, Shape::new(shape), data).unwrap()
    }

    #[test]
    fn one_output_is_bare_and_several_are_objects() {
        let scores = uint8("scores", &[2, 2], &[1, 2, 3, 4]);
        let label = uint8("label", &[2], &[7, 8]);
        for (form, outputs, expected) in [
            (Form::Row, vec![scores.clone()], r#"{"predictions":[[1,2],[3,4]]}"#),
            (Form::Column, vec![scores.clone()], r#"{"outputs":[[1,2],[3,4]]}"#),
            (
                Form::Row,
                vec![scores.clone(), label.clone()],
                r#"{"predictions":[{"scores":[1,2],"label":7},{"scores":[3,4],"label":8}]}"#,
            ),
            (
                Form::Column,
                vec![scores, label],
                r#"{"outputs":{"scores":[[1,2],[3,4]],"label":[7,8]}}"#,
            ),
            (Form::Column, vec![uint8("s", &[], &[5])], r#"{"outputs":5}"#),
        ] {
            assert_eq!(encode_predict(form, &outputs).unwrap(), expected);
        }
    }

    #[test]
    fn outputs_named_bytes_are_base64() {
        let text = |name: &str| {
            let data = TensorData::Strings(vec![Bytes::from("hi")]);
            Tensor::new(name, DataType::Bytes, Shape::new(&[1]), data).unwrap()
        };
        let body = encode_predict(Form::Row, &[text("image_bytes"), text("caption")]).unwrap();
        assert_eq!(body, r#"{"predictions":[{"image_bytes":{"b64":"aGk="},"caption":"hi"}]}"#);
    }

    #[test]
    fn row_form_needs_outputs_that_agree_about_their_rows() {
        let outputs = [uint8("a", &[2], &[1, 2]), uint8("b", &[1], &[1])];
        assert_eq!(
            encode_predict(Form::Row, &outputs).unwrap_err().message(),
            "Tensor name: b has inconsistent batch size: 1 expecting: 2"
        );
        assert!(encode_predict(Form::Row, &[uint8("s", &[], &[5])]).is_err());
    }

    #[test]
    fn errors_look_as_the_original_writes_them() {
        assert_eq!(error_body("no \"x\""), r#"{ "error": "no \"x\"" }"#);
    }
}
