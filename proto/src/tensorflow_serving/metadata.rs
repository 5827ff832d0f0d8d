//! `GetModelMetadata` as JSON, protobuf's way: 64-bit integers are strings, and the signature map
//! is a message in a map of the same name, hence `signature_def` twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use tidegate_inference::{DataType, Dim, ModelName, Signature, TensorSpec, Version};

use super::SIGNATURE_NAME;

#[derive(Serialize)]
struct ModelMetadata<'a> {
    model_spec: ModelSpec<'a>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct ModelSpec<'a> {
    name: &'a str,
    signature_name: &'static str,
    version: String,
}

#[derive(Serialize)]
struct Metadata<'a> {
    signature_def: SignatureDefMap<'a>,
}

#[derive(Serialize)]
struct SignatureDefMap<'a> {
    signature_def: BTreeMap<&'static str, SignatureDef<'a>>,
}

#[derive(Serialize)]
struct SignatureDef<'a> {
    inputs: BTreeMap<&'a str, TensorInfo<'a>>,
    outputs: BTreeMap<&'a str, TensorInfo<'a>>,
    method_name: &'static str,
    defaults: BTreeMap<&'a str, TensorInfo<'a>>,
}

#[derive(Serialize)]
struct TensorInfo<'a> {
    dtype: &'static str,
    tensor_shape: TensorShape,
    name: &'a str,
}

#[derive(Serialize)]
struct TensorShape {
    dim: Vec<TensorDim>,
    unknown_rank: bool,
}

#[derive(Serialize)]
struct TensorDim {
    size: String,
    name: &'static str,
}

/// `GET /v1/models/M[/versions/V|/labels/L]/metadata`
pub fn model_metadata(model: &ModelName, version: Version, signature: &Signature) -> Bytes {
    let signature_def = SignatureDef {
        inputs: tensor_infos(&signature.inputs),
        outputs: tensor_infos(&signature.outputs),
        method_name: "tensorflow/serving/predict",
        defaults: BTreeMap::new(),
    };
    let signature_def =
        SignatureDefMap { signature_def: BTreeMap::from([(SIGNATURE_NAME, signature_def)]) };
    let metadata = ModelMetadata {
        model_spec: ModelSpec {
            name: model.as_str(),
            signature_name: "",
            version: version.to_string(),
        },
        metadata: Metadata { signature_def },
    };
    super::pretty(&metadata)
}

fn tensor_infos(specs: &[TensorSpec]) -> BTreeMap<&str, TensorInfo<'_>> {
    specs.iter().map(|spec| (&*spec.name, TensorInfo::of(spec))).collect()
}

impl<'a> TensorInfo<'a> {
    fn of(spec: &'a TensorSpec) -> Self {
        let dim = spec.shape.iter().map(|dim| TensorDim {
            size: match dim {
                Dim::Fixed(length) => length.to_string(),
                Dim::Dynamic => "-1".to_owned(),
            },
            name: "",
        });
        let tensor_shape = TensorShape { dim: dim.collect(), unknown_rank: false };
        Self { dtype: dtype_name(spec.datatype), tensor_shape, name: &spec.name }
    }
}

pub(super) fn dtype_name(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "DT_BOOL",
        DataType::Uint8 => "DT_UINT8",
        DataType::Uint16 => "DT_UINT16",
        DataType::Uint32 => "DT_UINT32",
        DataType::Uint64 => "DT_UINT64",
        DataType::Int8 => "DT_INT8",
        DataType::Int16 => "DT_INT16",
        DataType::Int32 => "DT_INT32",
        DataType::Int64 => "DT_INT64",
        DataType::Fp16 => "DT_HALF",
        DataType::Bf16 => "DT_BFLOAT16",
        DataType::Fp32 => "DT_FLOAT",
        DataType::Fp64 => "DT_DOUBLE",
        DataType::Bytes => "DT_STRING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_shown_as_tensorflow_shows_it() {
        let signature = Signature {
            inputs: vec![TensorSpec {
                name: "x".into(),
                datatype: DataType::Fp32,
                shape: vec![Dim::Dynamic, Dim::Fixed(8)],
            }],
            outputs: vec![TensorSpec {
                name: "y".into(),
                datatype: DataType::Bytes,
                shape: vec![],
            }],
        };
        let model = ModelName::new("m").unwrap();
        let body = model_metadata(&model, Version::new(123).unwrap(), &signature);
        let expected = r#"{
            "model_spec": {"name": "m", "signature_name": "", "version": "123"},
            "metadata": {"signature_def": {"signature_def": {"serving_default": {
                "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}, {"size": "8", "name": ""}],
                    "unknown_rank": false}, "name": "x"}},
                "outputs": {"y": {"dtype": "DT_STRING", "tensor_shape": {
                    "dim": [], "unknown_rank": false}, "name": "y"}},
                "method_name": "tensorflow/serving/predict",
                "defaults": {}}}}}}"#;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    }
}
