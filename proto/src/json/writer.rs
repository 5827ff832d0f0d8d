//! Tensors and strings out as JSON. Floats are written as short as they can be and still be read back
//! bit for bit; `NaN` and infinities as the literals that Python, TensorFlow and RapidJSON read.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use half::{bf16, f16};
use serde::Serialize;
use tidegate_inference::{DataType, Tensor, TensorData};

/// How byte strings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextForm {
    /// As strings; whoever asks has checked that they are UTF-8.
    Plain,
    /// As `{"b64": "..."}`.
    Base64,
}

/// Appends any value whose serialisation cannot fail: strings, numbers, structs of them.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("memory takes every byte, and keys are strings");
}

/// A whole body.
pub(crate) fn to_body(value: &impl Serialize) -> Bytes {
    let mut out = Vec::new();
    write_json(&mut out, value);
    out.into()
}

/// The tensor's elements in one flat array.
pub(crate) fn write_flat(out: &mut Vec<u8>, tensor: &Tensor, text: TextForm) {
    out.push(b'[');
    write_run(out, tensor, 0..tensor.elements(), text);
    out.push(b']');
}

/// The tensor as arrays nested as deep as its rank; a scalar as its bare value.
pub(crate) fn write_nested(out: &mut Vec<u8>, tensor: &Tensor, text: TextForm) {
    write_block(out, tensor, tensor.shape(), 0..tensor.elements(), text);
}

/// One item along the first dimension, nested.
///
/// The tensor must have that dimension, and the item must lie in it.
pub(crate) fn write_item(out: &mut Vec<u8>, tensor: &Tensor, item: usize, text: TextForm) {
    let step = tensor.elements() / tensor.shape()[0];
    let range = item * step..(item + 1) * step;
    write_block(out, tensor, &tensor.shape()[1..], range, text);
}

/// One element by its place in row-major order.
pub(crate) fn write_element(out: &mut Vec<u8>, tensor: &Tensor, element: usize) {
    write_run(out, tensor, element..element + 1, TextForm::Plain);
}

/// The elements of `range`, which fill `dims`, nested.
fn write_block(
    out: &mut Vec<u8>,
    tensor: &Tensor,
    dims: &[usize],
    range: Range<usize>,
    text: TextForm,
) {
    let Some((&length, inner)) = dims.split_first() else {
        return write_run(out, tensor, range, text);
    };
    out.push(b'[');
    if inner.is_empty() {
        write_run(out, tensor, range, text);
    } else if let Some(step) = range.len().checked_div(length) {
        for index in 0..length {
            if index > 0 {
                out.push(b',');
            }
            let start = range.start + index * step;
            write_block(out, tensor, inner, start..start + step, text);
        }
    }
    out.push(b']');
}

/// Elements with commas between them.
fn write_run(out: &mut Vec<u8>, tensor: &Tensor, range: Range<usize>, text: TextForm) {
    let bytes = match tensor.data() {
        TensorData::Strings(strings) => {
            return write_each(out, &strings[range], |out, string| write_text(out, string, text));
        }
        TensorData::Fixed(bytes) => bytes,
    };
    macro_rules! numbers {
        ($type:ty, $write:expr) => {{
            const SIZE: usize = size_of::<$type>();
            let (elements, _) = bytes[range.start * SIZE..range.end * SIZE].as_chunks::<SIZE>();
            write_each(out, elements, |out, le| $write(out, <$type>::from_le_bytes(*le)))
        }};
    }
    match tensor.datatype() {
        DataType::Bool => {
            write_each(out, &bytes[range], |out, byte| write_json(out, &(*byte != 0)))
        }
        DataType::Uint8 => numbers!(u8, write_number),
        DataType::Uint16 => numbers!(u16, write_number),
        DataType::Uint32 => numbers!(u32, write_number),
        DataType::Uint64 => numbers!(u64, write_number),
        DataType::Int8 => numbers!(i8, write_number),
        DataType::Int16 => numbers!(i16, write_number),
        DataType::Int32 => numbers!(i32, write_number),
        DataType::Int64 => numbers!(i64, write_number),
        DataType::Fp16 => numbers!(f16, |out, value: f16| write_f32(out, value.to_f32())),
        DataType::Bf16 => numbers!(bf16, |out, value: bf16| write_f32(out, value.to_f32())),
        DataType::Fp32 => numbers!(f32, write_f32),
        DataType::Fp64 => numbers!(f64, write_f64),
        DataType::Bytes => unreachable!("a BYTES tensor holds strings"),
    }
}

fn write_each<T>(out: &mut Vec<u8>, elements: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, element);
    }
}

fn write_number(out: &mut Vec<u8>, number: impl Serialize) {
    write_json(out, &number);
}

/// A float of its own width: 0.1 as FP32 is `0.1`, not `0.10000000149011612`.
pub(crate) fn write_f32(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        write_json(out, &value);
    } else {
        write_special(out, f64::from(value));
    }
}

pub(crate) fn write_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        write_json(out, &value);
    } else {
        write_special(out, value);
    }
}

#[cold]
fn write_special(out: &mut Vec<u8>, value: f64) {
    let word = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    out.extend_from_slice(word.as_bytes());
}

/// Bytes that are no text become base64 in either form: nothing else keeps the body JSON.
fn write_text(out: &mut Vec<u8>, bytes: &[u8], form: TextForm) {
    match (form, std::str::from_utf8(bytes)) {
        (TextForm::Plain, Ok(text)) => write_json(out, text),
        _ => {
            out.extend_from_slice(b"{\"b64\":\"");
            out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_inference::Shape;

    use super::*;

    fn fp32(shape: &[usize], values: &[f32]) -> Tensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let data = TensorData::Fixed(bytes.into());
        Tensor::new("y", DataType::Fp32, Shape::new(shape), data).unwrap()
    }

    fn nested(tensor: &Tensor) -> String {
        let mut out = Vec::new();
        write_nested(&mut out, tensor, TextForm::Plain);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nesting_follows_the_shape() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(nested(&fp32(&[2, 2], &values)), "[[1.0,2.0],[3.0,4.0]]");
        assert_eq!(nested(&fp32(&[1, 4, 1], &values)), "[[[1.0],[2.0],[3.0],[4.0]]]");
        assert_eq!(nested(&fp32(&[], &[5.0])), "5.0");
        assert_eq!(nested(&fp32(&[2, 0], &[])), "[[],[]]");
        assert_eq!(nested(&fp32(&[0, 2], &[])), "[]");
    }

    #[test]
    fn one_item_is_cut_out_of_the_first_dimension() {
        let mut out = Vec::new();
        write_item(&mut out, &fp32(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), 1, TextForm::Plain);
        out.push(b' ');
        write_item(&mut out, &fp32(&[2], &[1.0, 2.0]), 0, TextForm::Plain);
        assert_eq!(out, b"[3.0,4.0] 1.0");
    }

    #[test]
    fn floats_are_short_and_special_values_are_literals() {
        let values = [0.1, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45];
        assert_eq!(nested(&fp32(&[6], &values)), "[0.1,-0.0,NaN,Infinity,-Infinity,1e-45]");
    }

    #[test]
    fn strings_are_escaped_and_other_bytes_become_base64() {
        let strings = vec![Bytes::from_static(b"a\"\n"), Bytes::from_static(b"\xff")];
        let data = TensorData::Strings(strings);
        let tensor = Tensor::new("s", DataType::Bytes, Shape::new(&[2]), data).unwrap();
        assert_eq!(nested(&tensor), "[\"a\\\"\\n\",{\"b64\":\"/w==\"}]");
        let mut out = Vec::new();
        write_flat(&mut out, &tensor, TextForm::Base64);
        assert_eq!(out, b"[{\"b64\":\"YSIK\"},{\"b64\":\"/w==\"}]");
    }
}
