//! Whether two answers are the same answer.
//!
//! Equal bits always are. Integers, booleans and strings must be equal. Numbers may differ a little,
//! because engines choose their kernels by the size of the batch: 1e-6 of the value was seen in FP32.
//! What must be caught, a model that quantizes by the range of its batch, was seen to differ by 0.02
//! and more. The tolerances lie between, each a share of the value itself plus a smaller share of the
//! tensor's largest value (a sum that cancels to nearly nothing keeps the error of its terms):
//!
//! | datatype | of the value | of the largest value |
//! |---|---|---|
//! | FP32, FP64 | 1e-4 | 1e-5 |
//! | FP16 | 4e-3 | 2e-3 |
//! | BF16 | 3e-2 | 1e-2 |

use std::fmt;

use bytes::Bytes;
use half::{bf16, f16};
use tidegate_inference::{DataType, Tensor, TensorData};

/// The first element that differs.
#[derive(Debug)]
pub(super) struct Difference {
    element: usize,
    alone: String,
    together: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { element, alone, together } = self;
        write!(f, "element {element} is {alone} alone and {together} in a batch")
    }
}

/// Compares answers of the same datatype; `None` when they are the same.
pub(super) fn difference(alone: &Tensor, together: &Tensor) -> Option<Difference> {
    if alone.shape() != together.shape() {
        let (alone, together) = (alone.shape().to_string(), together.shape().to_string());
        return Some(Difference { element: 0, alone, together });
    }
    match (alone.data(), together.data()) {
        (a, b) if a == b => None,
        (TensorData::Fixed(a), TensorData::Fixed(b)) => match alone.datatype() {
            DataType::Fp16 => numbers(a, b, (4e-3, 2e-3), |v| f16::from_le_bytes(v).to_f64()),
            DataType::Bf16 => numbers(a, b, (3e-2, 1e-2), |v| bf16::from_le_bytes(v).to_f64()),
            DataType::Fp32 => numbers(a, b, (1e-4, 1e-5), |v| f32::from_le_bytes(v).into()),
            DataType::Fp64 => numbers(a, b, (1e-4, 1e-5), f64::from_le_bytes),
            exact => integers(a, b, exact),
        },
        (TensorData::Strings(a), TensorData::Strings(b)) => strings(a, b),
        _ => Some(Difference { element: 0, alone: "a number".into(), together: "a string".into() }),
    }
}

fn numbers<const N: usize>(
    alone: &[u8],
    together: &[u8],
    (of_value, of_largest): (f64, f64),
    read: impl Fn([u8; N]) -> f64,
) -> Option<Difference> {
    let values =
        |bytes: &[u8]| bytes.as_chunks::<N>().0.iter().map(|v| read(*v)).collect::<Vec<_>>();
    let (alone, together) = (values(alone), values(together));
    let finite = alone.iter().map(|value| value.abs()).filter(|value| value.is_finite());
    let largest = finite.fold(0.0, f64::max);
    let same = |a: f64, b: f64| {
        let close = (a - b).abs() <= of_value * a.abs().max(b.abs()) + of_largest * largest;
        // Infinities are close to nothing, not even to themselves.
        a == b || (a.is_nan() && b.is_nan()) || (a.is_finite() && b.is_finite() && close)
    };
    let element = alone.iter().zip(&together).position(|(a, b)| !same(*a, *b))?;
    Some(Difference {
        element,
        alone: alone[element].to_string(),
        together: together[element].to_string(),
    })
}

fn integers(alone: &[u8], together: &[u8], datatype: DataType) -> Option<Difference> {
    let size = datatype.size()?;
    let (a, b) = (alone.chunks(size), together.chunks(size));
    let element = a.zip(b).position(|(a, b)| a != b)?;
    let show = |bytes: &[u8]| {
        let bytes = &bytes[element * size..(element + 1) * size];
        let is_signed = matches!(
            datatype,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64
        );
        let is_negative = is_signed && bytes[size - 1] >= 0x80;
        let mut wide = [if is_negative { 0xff } else { 0 }; 16];
        wide[..size].copy_from_slice(bytes);
        i128::from_le_bytes(wide).to_string()
    };
    Some(Difference { element, alone: show(alone), together: show(together) })
}

fn strings(alone: &[Bytes], together: &[Bytes]) -> Option<Difference> {
    let element = alone.iter().zip(together).position(|(a, b)| a != b)?;
    let show = |string: &Bytes| {
        let text = String::from_utf8_lossy(string);
        format!("'{}'", text.chars().take(32).collect::<String>().escape_debug())
    };
    Some(Difference { element, alone: show(&alone[element]), together: show(&together[element]) })
}

#[cfg(test)]
mod tests {
    use tidegate_inference::Shape;

    use super::*;

    fn tensor(datatype: DataType, bytes: Vec<u8>) -> Tensor {
        let elements = bytes.len() / datatype.size().unwrap();
        Tensor::new("y", datatype, Shape::new(&[elements]), TensorData::Fixed(bytes.into()))
            .unwrap()
    }

    fn fp32(values: &[f32]) -> Tensor {
        tensor(DataType::Fp32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    #[test]
    fn rounding_passes_and_quantization_does_not() {
        let alone = fp32(&[1.0, -0.5, 1e-9]);
        assert!(difference(&alone, &fp32(&[1.000_002, -0.499_999, 3e-9])).is_none());
        let found = difference(&alone, &fp32(&[1.0, -0.52, 0.0])).unwrap();
        assert_eq!(found.to_string(), "element 1 is -0.5 alone and -0.5199999809265137 in a batch");
    }

    #[test]
    fn nan_is_the_same_as_nan_and_infinity_only_as_itself() {
        let odd = fp32(&[f32::NAN, f32::INFINITY, 0.0]);
        assert!(difference(&odd, &fp32(&[-f32::NAN, f32::INFINITY, -0.0])).is_none());
        assert!(difference(&odd, &fp32(&[0.0, f32::INFINITY, 0.0])).is_some());
        assert!(difference(&odd, &fp32(&[f32::NAN, f32::MAX, 0.0])).is_some());
    }

    #[test]
    fn integers_must_be_equal() {
        let found = difference(
            &tensor(DataType::Int16, vec![1, 0, 0xff, 0xff]),
            &tensor(DataType::Int16, vec![1, 0, 0xfe, 0xff]),
        );
        assert_eq!(found.unwrap().to_string(), "element 1 is -1 alone and -2 in a batch");
    }

    #[test]
    fn half_precision_has_its_own_tolerance() {
        let half = |value: f32| tensor(DataType::Fp16, f16::from_f32(value).to_le_bytes().to_vec());
        assert!(difference(&half(1.0), &half(1.001)).is_none());
        assert!(difference(&half(1.0), &half(1.02)).is_some());
    }
}
