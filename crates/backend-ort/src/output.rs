//! ONNX Runtime's output values as tensors, without a copy: the tensor's bytes *are* the value's
//! memory, which lives until the last response that holds a slice of it is written. It keeps its
//! session alive too, so the order in which things are dropped does not matter.

use bytes::Bytes;
use ort::value::{DynValue, ValueType};
use ort::{AsPointer, ortsys};
use tidegate_inference::{Error, ErrorKind, Result, Shape, Tensor, TensorData, TensorSpec};

use crate::signature::datatype_of;

/// # Errors
/// When the model gave something else than it declares.
pub(crate) fn tensor_of(value: DynValue, spec: &TensorSpec) -> Result<Tensor> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(unexpected(spec, value.dtype()));
    };
    if datatype_of(*ty) != Some(spec.datatype) {
        return Err(unexpected(spec, value.dtype()));
    }
    let dims = shape.iter().map(|dim| usize::try_from(*dim));
    let shape: Shape = dims.collect::<Result<_, _>>().map_err(|_| unexpected(spec, shape))?;
    let elements = shape.elements().ok_or_else(|| unexpected(spec, &shape))?;
    let data = match spec.datatype.size() {
        Some(size) => OutputBytes::of(value, elements * size).map(TensorData::Fixed),
        None => strings_of(&value, elements).map(TensorData::Strings),
    };
    let data = data.map_err(|error| unexpected(spec, error))?;
    Tensor::new(spec.name.clone(), spec.datatype, shape, data)
}

fn unexpected(spec: &TensorSpec, got: impl std::fmt::Display) -> Error {
    let message =
        format!("output '{}': expected a tensor of {}, got {got}", spec.name, spec.datatype);
    Error::new(ErrorKind::ModelFailed, message)
}

/// A fixed-size output's memory, kept alive by the value that owns it.
struct OutputBytes {
    data: *const u8,
    length: usize,
    _value: DynValue,
}

// SAFETY: the memory is owned by the value, which is itself Send, and nobody writes to it any more.
unsafe impl Send for OutputBytes {}

impl OutputBytes {
    fn of(mut value: DynValue, length: usize) -> ort::Result<Bytes> {
        if length == 0 {
            // ONNX Runtime may give a null pointer for it.
            return Ok(Bytes::new());
        }
        let mut data = std::ptr::null_mut();
        // SAFETY: the value is a valid tensor of fixed-size elements, as its type said.
        ortsys![unsafe GetTensorMutableData(value.ptr_mut(), &mut data)?];
        Ok(Bytes::from_owner(Self { data: data.cast_const().cast(), length, _value: value }))
    }
}

impl AsRef<[u8]> for OutputBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the tensor's shape and element size give the length of its memory, which is on
        // the CPU (no other execution provider is ever registered), does not move and lives as long
        // as the value beside it.
        unsafe { std::slice::from_raw_parts(self.data, self.length) }
    }
}

/// All strings share one piece of memory. They are bytes, not necessarily text.
fn strings_of(value: &DynValue, elements: usize) -> ort::Result<Vec<Bytes>> {
    if elements == 0 {
        return Ok(Vec::new());
    }
    let mut length = 0;
    // SAFETY: the value is a valid string tensor, as its type said.
    ortsys![unsafe GetStringTensorDataLength(value.ptr(), &mut length)?];
    let mut content = vec![0_u8; length];
    let mut starts = vec![0_usize; elements];
    // SAFETY: both buffers have the lengths that are passed along with them.
    ortsys![unsafe GetStringTensorContent(value.ptr(), content.as_mut_ptr().cast(), length, starts.as_mut_ptr(), elements)?];
    let content = Bytes::from(content);
    let ends = starts.iter().skip(1).copied().chain([length]);
    Ok(starts.iter().zip(ends).map(|(&start, end)| content.slice(start..end)).collect())
}
