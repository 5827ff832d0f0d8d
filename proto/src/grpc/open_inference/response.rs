//! An infer response, written and read.

use tidegate_inference::{Error, Tensor};

use super::contents::{Head, dims, fill, raw};
use crate::DecodeError;
use crate::grpc::inference::ModelInferResponse;
use crate::grpc::inference::model_infer_response::InferOutputTensor;
use crate::role::Role;

/// With all values raw, even of empty outputs: standard clients expect one entry for each.
///
/// # Errors
/// When a byte string is longer than its length field can say.
pub fn encode_response(
    model: &str,
    version: &str,
    id: &str,
    outputs: &[Tensor],
) -> Result<ModelInferResponse, Error> {
    Ok(ModelInferResponse {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        id: id.to_owned(),
        outputs: outputs.iter().map(output).collect(),
        raw_output_contents: outputs.iter().map(raw).collect::<Result<_, _>>()?,
        ..ModelInferResponse::default()
    })
}

fn output(tensor: &Tensor) -> InferOutputTensor {
    InferOutputTensor {
        name: tensor.name().to_string(),
        datatype: tensor.datatype().name().to_owned(),
        shape: dims(tensor),
        ..InferOutputTensor::default()
    }
}

/// The outputs of a response.
///
/// # Errors
/// When it breaks the protocol.
pub fn decode_response(response: ModelInferResponse) -> Result<Vec<Tensor>, DecodeError> {
    let head = |output: InferOutputTensor| Head {
        name: output.name,
        datatype: output.datatype,
        shape: output.shape,
        contents: output.contents,
    };
    let heads = response.outputs.into_iter().map(head).collect();
    fill(Role::Output, heads, response.raw_output_contents)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::any::any_tensor;
    use crate::grpc::{frame, unframe};

    proptest! {
        #[test]
        fn the_client_reads_every_tensor_that_the_server_answers(a in any_tensor("a"), b in any_tensor("b")) {
            let outputs = [a, b];
            let body = frame(&encode_response("m", "3", "id", &outputs).unwrap());
            let response: ModelInferResponse = unframe(&body).unwrap();
            prop_assert_eq!((&*response.model_version, &*response.id), ("3", "id"));
            prop_assert_eq!(decode_response(response).unwrap(), outputs);
        }
    }
}
