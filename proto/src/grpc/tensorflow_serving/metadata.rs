//! A model's signatures, written and read: a message in an `Any` in a map, by the one key `signature_def`.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Any;
use tidegate_inference::{Signature, TensorSpec};

use super::predict::Asked;
use super::tensor::{datatype, dtype};
use crate::DecodeError;
use crate::grpc::tensorflow::serving::{
    GetModelMetadataRequest, GetModelMetadataResponse, SignatureDefMap,
};
use crate::grpc::tensorflow::tensor_shape_proto::Dim;
use crate::grpc::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use crate::open_inference::client::metadata::dim;
use crate::open_inference::dim_size;
use crate::tensorflow_serving::SIGNATURE_NAME;
use crate::tensorflow_serving::client::metadata::{Rank, no_signature};

const FIELD: &str = "signature_def";
const TYPE: &str = "type.googleapis.com/tensorflow.serving.SignatureDefMap";

pub fn metadata_request(asked: &Asked) -> GetModelMetadataRequest {
    GetModelMetadataRequest {
        model_spec: Some(asked.spec()),
        metadata_field: vec![FIELD.to_owned()],
    }
}

pub fn encode_metadata(answered: &Asked, signature: &Signature) -> GetModelMetadataResponse {
    let signature_def = SignatureDef {
        inputs: infos(&signature.inputs),
        outputs: infos(&signature.outputs),
        method_name: "tensorflow/serving/predict".to_owned(),
    };
    let map = SignatureDefMap {
        signature_def: BTreeMap::from([(SIGNATURE_NAME.to_owned(), signature_def)]),
    };
    let any = Any { type_url: TYPE.to_owned(), value: map.encode_to_vec() };
    GetModelMetadataResponse {
        model_spec: Some(answered.spec()),
        metadata: BTreeMap::from([(FIELD.to_owned(), any)]),
    }
}

/// The signature of this name, or `serving_default`.
///
/// # Errors
/// When there is no such signature, or it names a datatype that no tensor of ours can have.
pub fn decode_metadata(
    metadata: &GetModelMetadataResponse,
    signature_name: Option<&str>,
) -> Result<Signature, DecodeError> {
    let any = metadata
        .metadata
        .get(FIELD)
        .ok_or_else(|| DecodeError::invalid(format!("the model's metadata has no '{FIELD}'")))?;
    let map = SignatureDefMap::decode(&*any.value)
        .map_err(|error| DecodeError::invalid(format!("not a model's signatures: {error}")))?;
    let name = signature_name.unwrap_or(SIGNATURE_NAME);
    let signature =
        map.signature_def.get(name).ok_or_else(|| no_signature(name, map.signature_def.keys()))?;
    Ok(Signature {
        inputs: specs(&signature.inputs, Rank::Needed)?,
        outputs: specs(&signature.outputs, Rank::Unneeded)?,
    })
}

fn infos(specs: &[TensorSpec]) -> BTreeMap<String, TensorInfo> {
    let info = |spec: &TensorSpec| TensorInfo {
        name: spec.name.to_string(),
        dtype: dtype(spec.datatype).into(),
        tensor_shape: Some(TensorShapeProto {
            dim: spec
                .shape
                .iter()
                .map(|dim| Dim { size: dim_size(*dim), name: String::new() })
                .collect(),
            unknown_rank: false,
        }),
    };
    specs.iter().map(|spec| (spec.name.to_string(), info(spec))).collect()
}

fn specs(infos: &BTreeMap<String, TensorInfo>, rank: Rank) -> Result<Vec<TensorSpec>, DecodeError> {
    infos.iter().map(|(name, info)| spec(name, info, rank)).collect()
}

fn spec(name: &str, info: &TensorInfo, rank: Rank) -> Result<TensorSpec, DecodeError> {
    let shape = info.tensor_shape.as_ref();
    rank.check(name, shape.is_none_or(|shape| shape.unknown_rank))?;
    let datatype = datatype(info.dtype)
        .map_err(|problem| DecodeError::invalid(format!("tensor '{name}': {problem}")))?;
    let dims = shape.map_or(&[][..], |shape| &shape.dim);
    let shape = dims.iter().map(|known| dim(known.size)).collect();
    Ok(TensorSpec { name: name.into(), datatype, shape })
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{DataType, Dim};

    use super::*;
    use crate::grpc::{frame, unframe};

    fn signature() -> Signature {
        let spec = |name: &str, datatype, shape: &[Dim]| TensorSpec {
            name: name.into(),
            datatype,
            shape: shape.to_vec(),
        };
        Signature {
            inputs: vec![spec("x", DataType::Fp32, &[Dim::Dynamic, Dim::Fixed(8)])],
            outputs: vec![spec("y", DataType::Bytes, &[])],
        }
    }

    #[test]
    fn a_contract_is_read_as_it_was_written() {
        let metadata = encode_metadata(&Asked::default(), &signature());
        let metadata: GetModelMetadataResponse = unframe(&frame(&metadata)).unwrap();
        for name in [None, Some("serving_default")] {
            assert_eq!(decode_metadata(&metadata, name).unwrap(), signature());
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let metadata = encode_metadata(&Asked::default(), &signature());
        let refused = decode_metadata(&metadata, Some("other")).unwrap_err().to_string();
        assert_eq!(
            refused,
            "the model has no signature 'other': its signatures are serving_default"
        );
        let refused = decode_metadata(&GetModelMetadataResponse::default(), None).unwrap_err();
        assert_eq!(refused.to_string(), "the model's metadata has no 'signature_def'");
    }
}
