//! Views of the worker's buffers as ONNX Runtime's values, without a copy. Strings are the
//! exception: they live in ONNX Runtime's own string objects, so each is copied once.

use half::{bf16, f16};
use ort::memory::{Allocator, MemoryInfo};
use ort::session::SessionInputValue;
use ort::value::{
    DynTensor, PrimitiveTensorElementType, Shape as OrtShape, TensorElementType, TensorRefMut,
};
use ort::{AsPointer, ortsys};
use tidegate_batcher::{TensorView, ViewData};
use tidegate_inference::{DataType, Error, Result, Shape};

/// The value borrows the view's bytes, as its lifetime says.
///
/// # Errors
/// When the view's bytes do not fit its shape, or ONNX Runtime refuses them.
pub(crate) fn value_of<'a>(view: &TensorView<'a>) -> Result<SessionInputValue<'a>> {
    let value = match &view.data {
        ViewData::Strings(strings) if view.datatype == DataType::Bytes => {
            check_length(view, strings.len(), 1)?;
            strings_value(&view.shape, strings.iter().map(|string| &string[..])).map(Into::into)
        }
        ViewData::Fixed(bytes) => fixed_value(view, bytes)?,
        ViewData::Strings(_) => return Err(unfit(view, "strings")),
    };
    value.map_err(|error| {
        Error::internal(format!("input '{}': ONNX Runtime refused its buffer: {error}", view.name))
    })
}

fn fixed_value<'a>(
    view: &TensorView<'a>,
    bytes: &'a [u8],
) -> Result<ort::Result<SessionInputValue<'a>>> {
    Ok(match view.datatype {
        DataType::Bool => borrowed::<bool>(view, bytes)?,
        DataType::Uint8 => borrowed::<u8>(view, bytes)?,
        DataType::Uint16 => borrowed::<u16>(view, bytes)?,
        DataType::Uint32 => borrowed::<u32>(view, bytes)?,
        DataType::Uint64 => borrowed::<u64>(view, bytes)?,
        DataType::Int8 => borrowed::<i8>(view, bytes)?,
        DataType::Int16 => borrowed::<i16>(view, bytes)?,
        DataType::Int32 => borrowed::<i32>(view, bytes)?,
        DataType::Int64 => borrowed::<i64>(view, bytes)?,
        DataType::Fp16 => borrowed::<f16>(view, bytes)?,
        DataType::Bf16 => borrowed::<bf16>(view, bytes)?,
        DataType::Fp32 => borrowed::<f32>(view, bytes)?,
        DataType::Fp64 => borrowed::<f64>(view, bytes)?,
        DataType::Bytes => return Err(unfit(view, "numbers")),
    })
}

fn borrowed<'a, T: PrimitiveTensorElementType + std::fmt::Debug + 'static>(
    view: &TensorView<'a>,
    bytes: &'a [u8],
) -> Result<ort::Result<SessionInputValue<'a>>> {
    check_length(view, bytes.len(), size_of::<T>())?;
    if !bytes.as_ptr().cast::<T>().is_aligned() {
        return Err(unfit(view, "an unaligned buffer"));
    }
    let data = bytes.as_ptr().cast_mut().cast();
    // SAFETY: the bytes are as many as the shape needs, aligned for T, in CPU memory, and outlive
    // the value, whose lifetime is theirs. The value is only given to a session as an input, and
    // ONNX Runtime does not write to its inputs, so making the pointer mutable changes nothing; the
    // typed way, a `&[T]`, would be wrong for `bool`, whose bytes nobody has checked here.
    let value: ort::Result<TensorRefMut<'a, T>> =
        unsafe { TensorRefMut::from_raw(MemoryInfo::default(), data, ort_shape(&view.shape)) };
    Ok(value.map(Into::into))
}

fn check_length(view: &TensorView<'_>, length: usize, unit: usize) -> Result<()> {
    let expected = view.shape.elements().and_then(|elements| elements.checked_mul(unit));
    if expected == Some(length) { Ok(()) } else { Err(unfit(view, "a buffer of another length")) }
}

fn unfit(view: &TensorView<'_>, data: &str) -> Error {
    let TensorView { name, datatype, shape, .. } = view;
    Error::internal(format!("input '{name}': {datatype} of shape {shape} came as {data}"))
}

fn ort_shape(shape: &Shape) -> OrtShape {
    shape.iter().copied().collect()
}

/// A string tensor with any bytes: each string is written into the buffer that ONNX Runtime makes
/// for it. The usual call takes C strings, and would refuse those with a zero byte inside.
fn strings_value<'s>(
    shape: &Shape,
    strings: impl Iterator<Item = &'s [u8]>,
) -> ort::Result<DynTensor> {
    let (allocator, kind) = (Allocator::default(), TensorElementType::String);
    let mut tensor = DynTensor::new(&allocator, kind, ort_shape(shape))?;
    for (index, string) in strings.enumerate() {
        let mut buffer = std::ptr::null_mut();
        // SAFETY: the tensor is a valid string tensor that nobody else refers to; the caller gives
        // as many strings as its shape has elements, and ONNX Runtime checks the index once more.
        ortsys![unsafe GetResizedStringTensorElementBuffer(tensor.ptr_mut(), index, string.len(), &mut buffer)?];
        if !string.is_empty() {
            // SAFETY: on success the buffer has exactly `string.len()` bytes, which belong to the
            // tensor and do not overlap the request's own memory.
            unsafe {
                std::ptr::copy_nonoverlapping(string.as_ptr(), buffer.cast(), string.len());
            }
        }
    }
    Ok(tensor)
}
