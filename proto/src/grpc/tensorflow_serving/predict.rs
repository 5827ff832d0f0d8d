//! Predict requests and responses, written and read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tidegate_inference::{Error, ModelName, Tensor, Version};

use super::tensor;
use crate::DecodeError;
use crate::grpc::frame;
use crate::grpc::tensorflow::TensorProto;
use crate::grpc::tensorflow::serving::model_spec::VersionChoice;
use crate::grpc::tensorflow::serving::{ModelSpec, PredictRequest, PredictResponse};
use crate::role::Role;
use crate::tensorflow_serving::SIGNATURE_NAME;

/// Who is asked, or who answered.
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
    /// Who it came to.
    pub fn effective(model: &ModelName, version: Version) -> Self {
        Self {
            model: model.to_string(),
            version: i64::try_from(version.get()).ok(),
            label: None,
            signature_name: SIGNATURE_NAME.to_owned(),
        }
    }

    pub(super) fn spec(&self) -> ModelSpec {
        let label = || self.label.clone().map(VersionChoice::VersionLabel);
        ModelSpec {
            name: self.model.clone(),
            version_choice: self.version.map(VersionChoice::Version).or_else(label),
            signature_name: self.signature_name.clone(),
        }
    }

    /// # Errors
    /// When nobody is asked.
    pub fn of(spec: Option<ModelSpec>) -> Result<Self, DecodeError> {
        let spec = spec.ok_or_else(|| DecodeError::invalid("Missing ModelSpec"))?;
        let (version, label) = match spec.version_choice {
            Some(VersionChoice::Version(version)) => (Some(version), None),
            Some(VersionChoice::VersionLabel(label)) => (None, Some(label)),
            None => (None, None),
        };
        Ok(Self { model: spec.name, version, label, signature_name: spec.signature_name })
    }

    /// # Errors
    /// When it is asked for another signature than the only one.
    pub fn check_signature(&self) -> Result<(), DecodeError> {
        let name = &self.signature_name;
        if name.is_empty() || name == SIGNATURE_NAME {
            return Ok(());
        }
        Err(DecodeError::invalid(format!(
            "Serving signature key \"{name:.64}\" not found, expected \"{SIGNATURE_NAME}\""
        )))
    }
}

pub fn encode_request(asked: &Asked, inputs: &[Tensor]) -> PredictRequest {
    PredictRequest {
        model_spec: Some(asked.spec()),
        inputs: encode(inputs),
        output_filter: Vec::new(),
    }
}

/// The inputs, in the order of their names, and the names of the outputs that are wanted; none means all.
///
/// # Errors
/// When a tensor breaks the protocol.
pub fn decode_request(
    request: PredictRequest,
) -> Result<(Vec<Tensor>, Vec<Arc<str>>), DecodeError> {
    let outputs = request.output_filter.into_iter().map(Arc::from).collect();
    Ok((decode(Role::Input, request.inputs)?, outputs))
}

/// `answered` says which version did.
pub fn encode_response(answered: &Asked, outputs: &[Tensor]) -> PredictResponse {
    PredictResponse { model_spec: Some(answered.spec()), outputs: encode(outputs) }
}

/// A response as it leaves the gateway, framed.
///
/// # Errors
/// When it is too large for a message.
pub fn encode_predict(
    model: &ModelName,
    version: Version,
    outputs: &[Tensor],
) -> Result<Bytes, Error> {
    let response = encode_response(&Asked::effective(model, version), outputs);
    let size = response.encoded_len();
    if u32::try_from(size).is_err() {
        let message = format!("an answer of {size} bytes does not fit a gRPC message");
        return Err(Error::internal(message));
    }
    Ok(frame(&response))
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
    use crate::grpc::unframe;

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
            let request: PredictRequest = unframe(&frame(&encode_request(&asked, &[]))).unwrap();
            assert_eq!(Asked::of(request.model_spec).unwrap(), asked);
        }
        assert_eq!(answering_version(&encode_response(&asked(Some(3), None), &[])), Some(3));
        assert_eq!(answering_version(&PredictResponse::default()), None);
        let refused = Asked::of(None).unwrap_err();
        assert_eq!(refused.to_string(), "Missing ModelSpec");
        let refused = asked(None, None).check_signature().unwrap_err().to_string();
        assert_eq!(refused, "Serving signature key \"s\" not found, expected \"serving_default\"");
        assert!(Asked::default().check_signature().is_ok());
    }

    proptest! {
        #[test]
        fn tensors_are_read_as_they_were_written(a in any_tensor("a"), b in any_tensor("b")) {
            let tensors = [a, b];
            let request = unframe(&frame(&encode_request(&asked(None, None), &tensors))).unwrap();
            prop_assert_eq!(&decode_request(request).unwrap().0, &tensors);
            let response = unframe(&frame(&encode_response(&asked(Some(1), None), &tensors))).unwrap();
            prop_assert_eq!(&decode_response(response).unwrap(), &tensors);
        }
    }
}
