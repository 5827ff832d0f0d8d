//! The answer to `:predict`, in the form of its request.

use bytes::Bytes;
use tidegate_inference::{Error, Tensor};

use super::Form;
use crate::json::{TextForm, write_item, write_json, write_nested};

/// One output is answered bare, several as objects by name.
///
/// # Errors
/// In row form, when an output has no rows or outputs disagree about their number.
pub fn encode_predict(form: Form, outputs: &[Tensor]) -> Result<Bytes, Error> {
    let elements: usize = outputs.iter().map(Tensor::elements).sum();
    let mut out = Vec::with_capacity(64 + 12 * elements);
    match form {
        Form::Row => {
            let rows = rows(outputs)?;
            out.extend_from_slice(b"{\"predictions\":[");
            for row in 0..rows {
                if row > 0 {
                    out.push(b',');
                }
                write_outputs(&mut out, outputs, |out, output| {
                    write_item(out, output, row, text_form(output));
                });
            }
            out.extend_from_slice(b"]}");
        }
        Form::Column => {
            out.extend_from_slice(b"{\"outputs\":");
            write_outputs(&mut out, outputs, |out, output| {
                write_nested(out, output, text_form(output));
            });
            out.push(b'}');
        }
    }
    Ok(out.into())
}

/// `{ "error": "..." }`, with the original's spaces: some clients compare text.
pub fn error_body(message: &str) -> Bytes {
    let mut out = b"{ \"error\": ".to_vec();
    write_json(&mut out, message);
    out.extend_from_slice(b" }");
    out.into()
}

fn write_outputs(
    out: &mut Vec<u8>,
    outputs: &[Tensor],
    mut write: impl FnMut(&mut Vec<u8>, &Tensor),
) {
    if let [output] = outputs {
        return write(out, output);
    }
    out.push(b'{');
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_json(out, &**output.name());
        out.push(b':');
        write(out, output);
    }
    out.push(b'}');
}

/// The length that all outputs share along their first dimension.
fn rows(outputs: &[Tensor]) -> Result<usize, Error> {
    let mut rows = None;
    for output in outputs {
        let Some(&own) = output.shape().first() else {
            return Err(Error::invalid(format!(
                "Tensor name: {} has no shape information, so no rows: ask in column form",
                output.name()
            )));
        };
        match rows.replace(own) {
            Some(expected) if expected != own => {
                return Err(Error::invalid(format!(
                    "Tensor name: {} has inconsistent batch size: {own} expecting: {expected}",
                    output.name()
                )));
            }
            _ => {}
        }
    }
    Ok(rows.unwrap_or(0))
}

/// Outputs called `..._bytes` are binary by convention.
fn text_form(output: &Tensor) -> TextForm {
    if output.name().ends_with("_bytes") { TextForm::Base64 } else { TextForm::Plain }
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
