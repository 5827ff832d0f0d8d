//! What a server says of a model, read into the model's contract.

use serde::Deserialize;
use tidegate_inference::{Dim, Signature, TensorSpec};

use crate::DecodeError;

/// `GET /v2/models/M[/versions/V]`, as far as a client needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelMetadata {
    pub name: String,
    pub versions: Vec<String>,
    pub platform: String,
    pub signature: Signature,
}

/// # Errors
/// When it is not such metadata, or names a datatype that the protocol does not have.
pub fn decode_metadata(body: &[u8]) -> Result<ModelMetadata, DecodeError> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| DecodeError::invalid(format!("not a model's metadata: {error}")))?;
    let signature = Signature { inputs: specs(body.inputs)?, outputs: specs(body.outputs)? };
    Ok(ModelMetadata {
        name: body.name,
        versions: body.versions,
        platform: body.platform,
        signature,
    })
}

#[derive(Deserialize)]
struct Body {
    name: String,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    platform: String,
    #[serde(default)]
    inputs: Vec<Spec>,
    #[serde(default)]
    outputs: Vec<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

fn specs(specs: Vec<Spec>) -> Result<Vec<TensorSpec>, DecodeError> {
    specs.into_iter().map(|spec| tensor_spec(&spec.name, &spec.datatype, &spec.shape)).collect()
}

/// A tensor's contract in the protocol's words, over REST and gRPC alike.
pub(crate) fn tensor_spec(
    name: &str,
    datatype: &str,
    shape: &[i64],
) -> Result<TensorSpec, DecodeError> {
    let datatype = datatype
        .parse()
        .map_err(|unknown| DecodeError::invalid(format!("tensor '{name}': {unknown}")))?;
    let shape = shape.iter().map(|size| dim(*size)).collect();
    Ok(TensorSpec { name: name.into(), datatype, shape })
}

/// Whatever is negative is open: -1 by every protocol.
pub(crate) fn dim(size: i64) -> Dim {
    usize::try_from(size).map_or(Dim::Dynamic, Dim::Fixed)
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{DataType, ModelName, Version};

    use super::*;
    use crate::open_inference::model_metadata;

    #[test]
    fn metadata_is_read_as_it_was_written() {
        let spec = |name: &str, datatype, shape: &[Dim]| TensorSpec {
            name: name.into(),
            datatype,
            shape: shape.to_vec(),
        };
        let signature = Signature {
            inputs: vec![spec("x", DataType::Fp32, &[Dim::Dynamic, Dim::Fixed(8)])],
            outputs: vec![spec("y", DataType::Bytes, &[]), spec("z", DataType::Bf16, &[])],
        };
        let model = ModelName::new("m").unwrap();
        let body = model_metadata(&model, &[Version::new(3).unwrap()], "onnx", &signature);
        let read = decode_metadata(&body).unwrap();
        assert_eq!(read.signature, signature);
        assert_eq!((&*read.name, &*read.versions[0], &*read.platform), ("m", "3", "onnx"));
    }

    #[test]
    fn what_is_no_metadata_is_called_so() {
        let message = |body: &str| decode_metadata(body.as_bytes()).unwrap_err().to_string();
        assert!(message("<html>").starts_with("not a model's metadata: expected value"));
        assert!(message("{}").contains("missing field `name`"));
        assert_eq!(
            message(r#"{"name":"m","inputs":[{"name":"x","datatype":"FLOAT","shape":[1]}]}"#),
            "tensor 'x': unknown datatype 'FLOAT'"
        );
    }
}
