//! Predict requests and responses, written and read.

use std::collections::BTreeMap;

use tidegate_inference::Tensor;

use super::tensor;
use crate::DecodeError;
use crate::grpc::tensorflow::TensorProto;
use crate::grpc::tensorflow::serving::model_spec::VersionChoice;
use crate::grpc::tensorflow::serving::{ModelSpec, PredictRequest, PredictResponse};
use crate::role::Role;

/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub model: String,
    pub version: Option<i64>,
    /// Instead of a version.
    pub label: Option<String>,
    /// Empty means `serving_default`.
    pub signature_name: String,
}

impl Asked {
    pub(super) fn spec(&self) -> ModelSpec {
        let label = || self.label.clone().map(VersionChoice::VersionLabel);
        ModelSpec {
            name: self.model.clone(),
            version_choice: self.version.map(VersionChoice::Version).or_else(label),
            signature_name: self.signature_name.clone(),
        }
    }

    fn of(spec: ModelSpec) -> Self {
        let (version, label) = match spec.version_choice {
            Some(VersionChoice::Version(version)) => (Some(version), None),
            Some(VersionChoice::VersionLabel(label)) => (None, Some(label)),
            None => (None, None),
        };
        Self { model: spec.name, version, label, signature_name: spec.signature_name }
    }
}

pub fn encode_request(asked: &Asked, inputs: &[Tensor]) -> PredictRequest {
    PredictRequest {
        model_spec: Some(asked.spec()),
        inputs: encode(inputs),
        output_filter: Vec::new(),
    }
}

/// Who is asked, and the inputs in the order of their names.
///
/// # Errors
/// When it names no model, or a tensor breaks the protocol.
pub fn decode_request(request: PredictRequest) -> Result<(Asked, Vec<Tensor>), DecodeError> {
    let spec = request.model_spec.ok_or_else(|| DecodeError::invalid("Missing ModelSpec"))?;
    Ok((Asked::of(spec), decode(Role::Input, request.inputs)?))
}

/// `answered` says which version did.
pub fn encode_response(answered: &Asked, outputs: &[Tensor]) -> PredictResponse {
    PredictResponse { model_spec: Some(answered.spec()), outputs: encode(outputs) }
}

/// The outputs of a response, in the order of their names.
///
/// # Errors
/// When a tensor breaks the protocol.
pub fn decode_response(response: PredictResponse) -> Result<Vec<Tensor>, DecodeError> {
    decode(Role::Output, response.outputs)
}

/// The version that answered, if the response tells.
pub fn answering_version(response: &PredictResponse) -> Option<u64> {
    match response.model_spec.as_ref()?.version_choice.as_ref()? {
        VersionChoice::Version(version) => u64::try_from(*version).ok(),
        VersionChoice::VersionLabel(_) => None,
    }
}

fn encode(tensors: &[Tensor]) -> BTreeMap<String, TensorProto> {
    tensors.iter().map(|tensor| (tensor.name().to_string(), tensor::encode(tensor))).collect()
}

fn decode(role: Role, tensors: BTreeMap<String, TensorProto>) -> Result<Vec<Tensor>, DecodeError> {
    tensors.into_iter().map(|(name, proto)| tensor::decode(role, name, proto)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::any::any_tensor;
    use crate::grpc::{frame, unframe};

    fn asked(version: Option<i64>, label: Option<&str>) -> Asked {
        Asked {
            model: "m".into(),
            version,
            label: label.map(Into::into),
            signature_name: "s".into(),
        }
    }

    #[test]
    fn versions_and_labels_are_told_apart() {
        for asked in [asked(None, None), asked(Some(3), None), asked(None, Some("blue"))] {
            let request = unframe(&frame(&encode_request(&asked, &[]))).unwrap();
            assert_eq!(decode_request(request).unwrap(), (asked, vec![]));
        }
        assert_eq!(answering_version(&encode_response(&asked(Some(3), None), &[])), Some(3));
        assert_eq!(answering_version(&PredictResponse::default()), None);
        let refused = decode_request(PredictRequest::default()).unwrap_err();
        assert_eq!(refused.to_string(), "Missing ModelSpec");
    }

    proptest! {
        #[test]
        fn tensors_are_read_as_they_were_written(a in any_tensor("a"), b in any_tensor("b")) {
            let tensors = [a, b];
            let request = unframe(&frame(&encode_request(&asked(None, None), &tensors))).unwrap();
            prop_assert_eq!(&decode_request(request).unwrap().1, &tensors);
            let response = unframe(&frame(&encode_response(&asked(Some(1), None), &tensors))).unwrap();
            prop_assert_eq!(&decode_response(response).unwrap(), &tensors);
        }
    }
}
