//! A model's contract, written and read.

use tidegate_inference::{Signature, TensorSpec};

use crate::DecodeError;
use crate::grpc::inference::ModelMetadataResponse;
use crate::grpc::inference::model_metadata_response::TensorMetadata;
use crate::open_inference::client::metadata::tensor_spec;
use crate::open_inference::dim_size;

pub fn encode_metadata(
    model: &str,
    versions: Vec<String>,
    platform: &str,
    signature: &Signature,
) -> ModelMetadataResponse {
    ModelMetadataResponse {
        name: model.to_owned(),
        versions,
        platform: platform.to_owned(),
        inputs: signature.inputs.iter().map(metadata).collect(),
        outputs: signature.outputs.iter().map(metadata).collect(),
    }
}

fn metadata(spec: &TensorSpec) -> TensorMetadata {
    TensorMetadata {
        name: spec.name.to_string(),
        datatype: spec.datatype.name().to_owned(),
        shape: spec.shape.iter().map(|dim| dim_size(*dim)).collect(),
    }
}

/// # Errors
/// When it names a datatype that the protocol does not have.
pub fn decode_metadata(metadata: &ModelMetadataResponse) -> Result<Signature, DecodeError> {
    let spec = |spec: &TensorMetadata| tensor_spec(&spec.name, &spec.datatype, &spec.shape);
    let specs = |specs: &[TensorMetadata]| specs.iter().map(spec).collect::<Result<Vec<_>, _>>();
    Ok(Signature { inputs: specs(&metadata.inputs)?, outputs: specs(&metadata.outputs)? })
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{DataType, Dim};

    use super::*;

    #[test]
    fn a_contract_is_read_as_it_was_written() {
        let spec = |name: &str, datatype, shape: &[Dim]| TensorSpec {
            name: name.into(),
            datatype,
            shape: shape.to_vec(),
        };
        let signature = Signature {
            inputs: vec![spec("x", DataType::Fp32, &[Dim::Dynamic, Dim::Fixed(8)])],
            outputs: vec![spec("y", DataType::Bytes, &[])],
        };
        let mut metadata = encode_metadata("m", vec!["3".into()], "onnx", &signature);
        assert_eq!(decode_metadata(&metadata).unwrap(), signature);
        metadata.inputs[0].datatype = "FLOAT".into();
        let refused = decode_metadata(&metadata).unwrap_err();
        assert_eq!(refused.to_string(), "tensor 'x': unknown datatype 'FLOAT'");
    }
}
