//! Reads a model's contract from its session, and refuses what no request could carry.

use ort::value::{Outlet, TensorElementType, ValueType};
use tidegate_backend::LoadError;
use tidegate_inference::{DataType, Dim, Signature, TensorSpec};

/// # Errors
/// When an input or output is not a tensor, or of a datatype that the protocols do not know.
pub(crate) fn signature_of(inputs: &[Outlet], outputs: &[Outlet]) -> Result<Signature, LoadError> {
    let specs = |direction: &'static str, outlets: &[Outlet]| {
        outlets.iter().map(|outlet| spec_of(direction, outlet)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Signature { inputs: specs("input", inputs)?, outputs: specs("output", outputs)? })
}

fn spec_of(direction: &str, outlet: &Outlet) -> Result<TensorSpec, LoadError> {
    let name = outlet.name();
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(LoadError::new(format!(
            "its {direction} '{name}' is not a tensor but {}; export the model with tensors only \
             (a classifier of scikit-learn, for one, with `zipmap` off)",
            outlet.dtype()
        )));
    };
    let datatype = datatype_of(*ty).ok_or_else(|| {
        LoadError::new(format!(
            "its {direction} '{name}' has element type {ty}, which no request can carry; cast it \
             inside the model"
        ))
    })?;
    let shape = shape.iter().map(|dim| usize::try_from(*dim).map_or(Dim::Dynamic, Dim::Fixed));
    Ok(TensorSpec { name: name.into(), datatype, shape: shape.collect() })
}

pub(crate) fn datatype_of(element: TensorElementType) -> Option<DataType> {
    Some(match element {
        TensorElementType::Bool => DataType::Bool,
        TensorElementType::Uint8 => DataType::Uint8,
        TensorElementType::Uint16 => DataType::Uint16,
        TensorElementType::Uint32 => DataType::Uint32,
        TensorElementType::Uint64 => DataType::Uint64,
        TensorElementType::Int8 => DataType::Int8,
        TensorElementType::Int16 => DataType::Int16,
        TensorElementType::Int32 => DataType::Int32,
        TensorElementType::Int64 => DataType::Int64,
        TensorElementType::Float16 => DataType::Fp16,
        TensorElementType::Bfloat16 => DataType::Bf16,
        TensorElementType::Float32 => DataType::Fp32,
        TensorElementType::Float64 => DataType::Fp64,
        TensorElementType::String => DataType::Bytes,
        _ => return None,
    })
}
