//! An infer request, written and read.

use tidegate_inference::{Error, Parameters, Tensor};

use super::contents::{Head, dims, fill, raw};
use super::parameters;
use crate::DecodeError;
use crate::grpc::inference::ModelInferRequest;
use crate::grpc::inference::model_infer_request::InferInputTensor;
use crate::role::Role;

/// With all values raw. An empty version leaves it to the server.
///
/// # Errors
/// When a byte string is longer than its length field can say.
pub fn encode_request(
    model: &str,
    version: &str,
    inputs: &[Tensor],
    parameters: &Parameters,
) -> Result<ModelInferRequest, Error> {
    Ok(ModelInferRequest {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        parameters: parameters::encode(parameters),
        inputs: inputs.iter().map(input).collect(),
        raw_input_contents: inputs.iter().map(raw).collect::<Result<_, _>>()?,
        ..ModelInferRequest::default()
    })
}

fn input(tensor: &Tensor) -> InferInputTensor {
    InferInputTensor {
        name: tensor.name().to_string(),
        datatype: tensor.datatype().name().to_owned(),
        shape: dims(tensor),
        ..InferInputTensor::default()
    }
}

/// The inputs and parameters of a request.
///
/// # Errors
/// When it breaks the protocol; not when it does not suit the model.
pub fn decode_request(
    request: ModelInferRequest,
) -> Result<(Vec<Tensor>, Parameters), DecodeError> {
    let head = |input: InferInputTensor| Head {
        name: input.name,
        datatype: input.datatype,
        shape: input.shape,
        contents: input.contents,
    };
    let heads = request.inputs.into_iter().map(head).collect();
    let inputs = fill(Role::Input, heads, request.raw_input_contents)?;
    Ok((inputs, parameters::decode(request.parameters)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_inference::ParameterValue;

    use super::*;
    use crate::any::any_tensor;
    use crate::grpc::{frame, unframe};

    #[test]
    fn parameters_of_every_type_are_read_as_they_were_written() {
        let parameters = Parameters::from([
            ("b".to_owned(), ParameterValue::Bool(true)),
            ("d".to_owned(), ParameterValue::Double(0.5)),
            ("i".to_owned(), ParameterValue::Int64(-1)),
            ("s".to_owned(), ParameterValue::String("text".to_owned())),
            ("u".to_owned(), ParameterValue::Uint64(u64::MAX)),
        ]);
        let request = encode_request("m", "3", &[], &parameters).unwrap();
        assert_eq!((&*request.model_name, &*request.model_version), ("m", "3"));
        assert_eq!(decode_request(request).unwrap(), (vec![], parameters));
    }

    proptest! {
        #[test]
        fn the_server_reads_every_tensor_that_was_written(a in any_tensor("a"), b in any_tensor("b")) {
            let inputs = [a, b];
            let body = frame(&encode_request("m", "", &inputs, &Parameters::new()).unwrap());
            let (read, _) = decode_request(unframe(&body).unwrap()).unwrap();
            prop_assert_eq!(read, inputs);
        }
    }
}
