//! What a server says of a model, read into the contract of one of its signatures.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_inference::{DataType, Signature, TensorSpec};

use super::super::SIGNATURE_NAME;
use super::super::metadata::dtype_name;
use crate::DecodeError;
use crate::open_inference::client::metadata::dim;

/// From `GET /v1/models/M/metadata`: the signature of this name, or `serving_default`.
///
/// # Errors
/// When it is not such metadata, has no such signature, or names a datatype that no tensor of ours can have.
pub fn decode_metadata(
    body: &[u8],
    signature_name: Option<&str>,
) -> Result<Signature, DecodeError> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| DecodeError::invalid(format!("not a model's metadata: {error}")))?;
    let mut signatures = body.metadata.signature_def.signature_def;
    let name = signature_name.unwrap_or(SIGNATURE_NAME);
    let Some(signature) = signatures.remove(name) else {
        return Err(no_signature(name, signatures.keys()));
    };
    Ok(Signature {
        inputs: specs(signature.inputs, Rank::Needed)?,
        outputs: specs(signature.outputs, Rank::Unneeded)?,
    })
}

pub(crate) fn no_signature<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> DecodeError {
    let known: Vec<&str> = known.map(String::as_str).collect();
    DecodeError::invalid(format!(
        "the model has no signature '{name}': its signatures are {}",
        known.join(", ")
    ))
}

#[derive(Deserialize)]
struct Body {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    signature_def: SignatureDefMap,
}

#[derive(Deserialize)]
struct SignatureDefMap {
    signature_def: BTreeMap<String, SignatureDef>,
}

#[derive(Deserialize)]
struct SignatureDef {
    #[serde(default)]
    inputs: BTreeMap<String, TensorInfo>,
    #[serde(default)]
    outputs: BTreeMap<String, TensorInfo>,
}

#[derive(Deserialize)]
struct TensorInfo {
    dtype: String,
    tensor_shape: TensorShape,
}

#[derive(Deserialize)]
struct TensorShape {
    #[serde(default)]
    dim: Vec<TensorDim>,
    #[serde(default)]
    unknown_rank: bool,
}

#[derive(Deserialize)]
struct TensorDim {
    /// 64-bit integers are strings in protobuf's JSON.
    size: String,
}

/// Answers bring their shapes with them; requests cannot be made up without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    Needed,
    Unneeded,
}

impl Rank {
    /// # Errors
    /// When the rank is needed and not known.
    pub(crate) fn check(self, name: &str, unknown: bool) -> Result<(), DecodeError> {
        if self == Self::Needed && unknown {
            return Err(DecodeError::invalid(format!("input '{name}': its rank is not known")));
        }
        Ok(())
    }
}

fn specs(infos: BTreeMap<String, TensorInfo>, rank: Rank) -> Result<Vec<TensorSpec>, DecodeError> {
    infos.into_iter().map(|(name, info)| spec(&name, &info, rank)).collect()
}

fn spec(name: &str, info: &TensorInfo, rank: Rank) -> Result<TensorSpec, DecodeError> {
    rank.check(name, info.tensor_shape.unknown_rank)?;
    let datatype = DataType::ALL.into_iter().find(|known| dtype_name(*known) == info.dtype);
    let datatype = datatype.ok_or_else(|| {
        DecodeError::invalid(format!("tensor '{name}': unknown datatype '{:.32}'", info.dtype))
    })?;
    let size = |size: &TensorDim| {
        size.size.parse().map(dim).map_err(|_| {
            DecodeError::invalid(format!(
                "tensor '{name}': dimension '{:.32}' is not a number",
                size.size
            ))
        })
    };
    let shape = info.tensor_shape.dim.iter().map(size).collect::<Result<_, _>>()?;
    Ok(TensorSpec { name: name.into(), datatype, shape })
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{Dim, ModelName, Version};

    use super::*;
    use crate::tensorflow_serving::model_metadata;

    fn body(datatype: DataType) -> (Signature, bytes::Bytes) {
        let spec = |name: &str, datatype, shape: &[Dim]| TensorSpec {
            name: name.into(),
            datatype,
            shape: shape.to_vec(),
        };
        let signature = Signature {
            inputs: vec![spec("x", datatype, &[Dim::Dynamic, Dim::Fixed(8)])],
            outputs: vec![spec("y", DataType::Bytes, &[])],
        };
        let model = ModelName::new("m").unwrap();
        let body = model_metadata(&model, Version::new(1).unwrap(), &signature);
        (signature, body)
    }

    #[test]
    fn metadata_is_read_as_it_was_written() {
        for datatype in DataType::ALL {
            let (signature, body) = body(datatype);
            assert_eq!(decode_metadata(&body, None).unwrap(), signature);
            assert_eq!(decode_metadata(&body, Some("serving_default")).unwrap(), signature);
        }
    }

    #[test]
    fn an_unknown_signature_is_refused_with_those_there_are() {
        let refused = decode_metadata(&body(DataType::Fp32).1, Some("other")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the model has no signature 'other': its signatures are serving_default"
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let (_, body) = body(DataType::Fp32);
        let text = std::str::from_utf8(&body).unwrap();
        let refusal = |from: &str, to: &str| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            decode_metadata(changed.as_bytes(), None).unwrap_err().to_string()
        };
        assert_eq!(refusal("DT_FLOAT", "DT_QINT8"), "tensor 'x': unknown datatype 'DT_QINT8'");
        assert_eq!(refusal("\"-1\"", "\"?\""), "tensor 'x': dimension '?' is not a number");
        assert_eq!(refusal("false", "true"), "input 'x': its rank is not known");
        assert!(refusal("\"metadata\"", "\"meta\"").contains("missing field `metadata`"));
    }
}
