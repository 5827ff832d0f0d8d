//! Request parameters: the same five types on the wire as in our words.

use std::collections::BTreeMap;

use tidegate_inference::{ParameterValue, Parameters};

use crate::grpc::inference::InferParameter;
use crate::grpc::inference::infer_parameter::ParameterChoice;

pub(super) fn encode(parameters: &Parameters) -> BTreeMap<String, InferParameter> {
    let choice = |value: &ParameterValue| match value {
        ParameterValue::Bool(value) => ParameterChoice::BoolParam(*value),
        ParameterValue::Int64(value) => ParameterChoice::Int64Param(*value),
        ParameterValue::Uint64(value) => ParameterChoice::Uint64Param(*value),
        ParameterValue::Double(value) => ParameterChoice::DoubleParam(*value),
        ParameterValue::String(value) => ParameterChoice::StringParam(value.clone()),
    };
    let encode = |(key, value): (&String, &ParameterValue)| {
        (key.clone(), InferParameter { parameter_choice: Some(choice(value)) })
    };
    parameters.iter().map(encode).collect()
}

/// A parameter without a value is none.
pub(super) fn decode(parameters: BTreeMap<String, InferParameter>) -> Parameters {
    let value = |choice| match choice {
        ParameterChoice::BoolParam(value) => ParameterValue::Bool(value),
        ParameterChoice::Int64Param(value) => ParameterValue::Int64(value),
        ParameterChoice::Uint64Param(value) => ParameterValue::Uint64(value),
        ParameterChoice::DoubleParam(value) => ParameterValue::Double(value),
        ParameterChoice::StringParam(value) => ParameterValue::String(value),
    };
    let given = |(key, parameter): (String, InferParameter)| {
        parameter.parameter_choice.map(|choice| (key, value(choice)))
    };
    parameters.into_iter().filter_map(given).collect()
}
