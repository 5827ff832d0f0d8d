//! An infer request, written and read.

use tidegate_inference::{Error, ParameterValue, Parameters, Tensor};

use super::contents::{Head, dims, fill, raw};
use super::parameters;
use crate::DecodeError;
use crate::grpc::inference::ModelInferRequest;
use crate::grpc::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use crate::open_inference::{InferRequest, Reply, RequestedOutput};
use crate::role::Role;
use crate::shared_memory::{Claim, Regions};

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

/// A request's inputs, its parameters, and how it wants its answer. Raw values stay where they are.
///
/// # Errors
/// When it breaks the protocol; not when it does not suit the model.
pub fn decode_infer(
    request: ModelInferRequest,
    regions: &dyn Regions,
) -> Result<InferRequest, DecodeError> {
    let parameters = parameters::decode(request.parameters);
    parameters.keys().try_for_each(|key| check_key(key))?;
    let heads = request.inputs.into_iter().map(head).collect::<Result<_, _>>()?;
    let inputs = fill(Role::Input, heads, request.raw_input_contents, regions)?;
    let id = Some(request.id).filter(|id| !id.is_empty());
    let outputs = requested_outputs(request.outputs)?;
    Ok(InferRequest { parameters, inputs, reply: Reply { id, outputs, binary_default: true } })
}

/// Clients of streams say that they would take an empty last response; a model here answers once, so there is none.
fn check_key(key: &str) -> Result<(), DecodeError> {
    if key.starts_with("triton_") && key != "triton_enable_empty_final_response" {
        return Err(DecodeError::invalid(format!(
            "parameter '{key:.64}': keys starting with 'triton_' are reserved"
        )));
    }
    Ok(())
}

fn head(input: InferInputTensor) -> Result<Head, DecodeError> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    let mut claim = Claim::default();
    let fault = |problem: String| DecodeError::invalid(format!("input '{name}': {problem}"));
    for (key, value) in &parameters::decode(parameters) {
        claim.take(key, value).map_err(fault)?;
    }
    let shared = claim.window().map_err(fault)?;
    Ok(Head { name, datatype, shape, contents, shared })
}

fn requested_outputs(
    requested: Vec<InferRequestedOutputTensor>,
) -> Result<Vec<RequestedOutput>, DecodeError> {
    let mut outputs: Vec<RequestedOutput> = Vec::with_capacity(requested.len());
    for output in requested {
        let output = requested_output(output)?;
        if outputs.iter().any(|known| known.name == output.name) {
            let name = &output.name;
            return Err(DecodeError::invalid(format!("output '{name}' is requested twice")));
        }
        outputs.push(output);
    }
    Ok(outputs)
}

fn requested_output(output: InferRequestedOutputTensor) -> Result<RequestedOutput, DecodeError> {
    let (name, mut classification, mut claim) = (&output.name, None, Claim::default());
    let fault = |problem: String| DecodeError::invalid(format!("output '{name}': {problem}"));
    for (key, value) in &parameters::decode(output.parameters) {
        if key == "classification" {
            classification = Some(as_classes(name, value)?);
        } else {
            claim.take(key, value).map_err(fault)?;
        }
    }
    let shared = claim.window().map_err(fault)?;
    Ok(RequestedOutput { name: output.name.into(), binary: None, classification, shared })
}

fn as_classes(output: &str, value: &ParameterValue) -> Result<usize, DecodeError> {
    let count = match value {
        ParameterValue::Int64(count) => usize::try_from(*count).ok(),
        ParameterValue::Uint64(count) => usize::try_from(*count).ok(),
        _ => None,
    };
    count.filter(|count| *count > 0).ok_or_else(|| {
        DecodeError::invalid(format!(
            "output '{output}': parameter 'classification': expected an integer above 0"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;
    use tidegate_inference::{DataType, Shape, TensorData};

    use super::*;
    use crate::any::any_tensor;
    use crate::grpc::inference::InferParameter;
    use crate::grpc::{frame, unframe};
    use crate::shared_memory::NoRegions;

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
        assert_eq!(decode_infer(request, &NoRegions).unwrap().parameters, parameters);
    }

    fn parameter(key: &str, value: ParameterValue) -> BTreeMap<String, InferParameter> {
        parameters::encode(&Parameters::from([(key.to_owned(), value)]))
    }

    fn asking(name: &str, key: &str, value: ParameterValue) -> InferRequestedOutputTensor {
        InferRequestedOutputTensor { name: name.to_owned(), parameters: parameter(key, value) }
    }

    #[test]
    fn raw_values_are_windows_into_the_message() {
        let data = TensorData::Fixed(Bytes::from(vec![7; 1000]));
        let tensor = Tensor::new("x", DataType::Uint8, Shape::new(&[1000]), data).unwrap();
        let body = frame(&encode_request("m", "", &[tensor], &Parameters::new()).unwrap());
        let request = decode_infer(unframe(&body).unwrap(), &NoRegions).unwrap();
        let TensorData::Fixed(bytes) = request.inputs[0].data() else { panic!("UINT8") };
        assert!(body.as_ptr_range().contains(&bytes.as_ptr()));
    }

    #[test]
    fn outputs_are_wished_for_by_name_with_their_classes() {
        let request = ModelInferRequest {
            id: "7".to_owned(),
            outputs: vec![
                asking("y", "classification", ParameterValue::Int64(3)),
                asking("z", "binary_data", ParameterValue::Bool(true)),
            ],
            ..ModelInferRequest::default()
        };
        let reply = decode_infer(request, &NoRegions).unwrap().reply;
        assert_eq!(reply.id.as_deref(), Some("7"));
        let wishes = reply.outputs.iter().map(|output| (&*output.name, output.classification));
        assert_eq!(wishes.collect::<Vec<_>>(), [("y", Some(3)), ("z", None)]);
    }

    #[test]
    fn what_breaks_the_protocol_is_refused_by_name() {
        let refusal = |request| decode_infer(request, &NoRegions).unwrap_err().to_string();
        let outputs = |outputs| ModelInferRequest { outputs, ..ModelInferRequest::default() };
        let output = |key: &str, value| outputs(vec![asking("y", key, value)]);
        let own = |key| ModelInferRequest {
            parameters: parameter(key, ParameterValue::Bool(true)),
            ..ModelInferRequest::default()
        };
        let y = || asking("y", "any", ParameterValue::Bool(true));
        for (request, told) in [
            (own("triton_x"), "parameter 'triton_x': keys starting with 'triton_' are reserved"),
            (outputs(vec![y(), y()]), "output 'y' is requested twice"),
            (output("classification", ParameterValue::Int64(0)), "expected an integer above 0"),
            (output("classification", ParameterValue::Bool(true)), "expected an integer above 0"),
            (
                output("shared_memory_region", ParameterValue::String("r".into())),
                "output 'y': shared memory region 'r': parameter 'shared_memory_byte_size' is missing",
            ),
        ] {
            let refused = refusal(request);
            assert!(refused.contains(told), "{refused}");
        }
        assert!(decode_infer(own("triton_enable_empty_final_response"), &NoRegions).is_ok());
    }

    proptest! {
        #[test]
        fn the_server_reads_every_tensor_that_was_written(a in any_tensor("a"), b in any_tensor("b")) {
            let inputs = [a, b];
            let body = frame(&encode_request("m", "", &inputs, &Parameters::new()).unwrap());
            let read = decode_infer(unframe(&body).unwrap(), &NoRegions).unwrap();
            prop_assert_eq!(read.inputs, inputs);
        }
    }
}
