//! A predict request, written.

use bytes::Bytes;
use tidegate_inference::{Error, Tensor};

use super::super::Form;
use super::super::response::write_member;
use crate::json::write_json;
use crate::role::Role;

/// One input is written bare, several by name. Without a signature's name the server takes
/// `serving_default`.
///
/// # Errors
/// In row form, when an input has no rows or inputs disagree about their number.
pub fn encode_request(
    form: Form,
    inputs: &[Tensor],
    signature_name: Option<&str>,
) -> Result<Bytes, Error> {
    let mut out = vec![b'{'];
    if let Some(name) = signature_name {
        out.extend_from_slice(b"\"signature_name\":");
        write_json(&mut out, name);
        out.push(b',');
    }
    write_member(&mut out, form, Role::Input, inputs)?;
    out.push(b'}');
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_inference::{DataType, Dim, Shape, Signature, TensorData, TensorSpec};

    use super::*;
    use crate::JsonLimits;
    use crate::any::{any_tensor, same_values};
    use crate::tensorflow_serving::decode_predict;

    fn uint8(name: &str, shape: &[usize], values: &[u8]) -> Tensor {
        let data = TensorData::Fixed(values.to_vec().into());
        Tensor::new(name, DataType::Uint8, Shape::new(shape), data).unwrap()
    }

    fn signature_of(tensors: &[Tensor]) -> Signature {
        let spec = |tensor: &Tensor| TensorSpec {
            name: tensor.name().clone(),
            datatype: tensor.datatype(),
            shape: tensor.shape().iter().map(|_| Dim::Dynamic).collect(),
        };
        Signature { inputs: tensors.iter().map(spec).collect(), outputs: vec![] }
    }

    fn read_back(form: Form, inputs: &[Tensor]) -> Vec<Tensor> {
        let body = encode_request(form, inputs, None).unwrap();
        let request = decode_predict(&body, &signature_of(inputs), JsonLimits::default()).unwrap();
        assert_eq!(request.form, form);
        request.inputs
    }

    #[test]
    fn one_input_is_bare_and_several_are_named() {
        let (x, y) = (uint8("x", &[2], &[1, 2]), uint8("y", &[2, 1], &[3, 4]));
        for (form, inputs, signature, body) in [
            (Form::Row, vec![x.clone()], None, r#"{"instances":[1,2]}"#),
            (Form::Column, vec![x.clone()], Some("s"), r#"{"signature_name":"s","inputs":[1,2]}"#),
            (Form::Row, vec![x, y], None, r#"{"instances":[{"x":1,"y":[3]},{"x":2,"y":[4]}]}"#),
        ] {
            assert_eq!(encode_request(form, &inputs, signature).unwrap(), body);
        }
    }

    #[test]
    fn rows_that_disagree_are_refused() {
        let inputs = [uint8("x", &[2], &[1, 2]), uint8("y", &[1], &[3])];
        let refused = encode_request(Form::Row, &inputs, None).unwrap_err();
        assert_eq!(refused.message(), "Tensor name: y has inconsistent batch size: 1 expecting: 2");
    }

    proptest! {
        #[test]
        fn the_server_reads_every_tensor_in_either_form(tensor in any_tensor("t")) {
            // Behind a dimension of length 0 nothing is written, so its inner lengths are lost.
            prop_assume!(tensor.elements() > 0);
            let inputs = [tensor];
            prop_assert!(same_values(&read_back(Form::Column, &inputs)[0], &inputs[0]));
            prop_assume!(!inputs[0].shape().is_empty());
            prop_assert!(same_values(&read_back(Form::Row, &inputs)[0], &inputs[0]));
        }
    }
}
