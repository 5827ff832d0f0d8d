//! A tensor's numbers as `f64`, for ranking them. Exact up to 2^53; nothing is computed with them.

use half::{bf16, f16};
use tidegate_inference::{DataType, Tensor, TensorData};

/// `None` for byte strings.
pub(crate) fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let TensorData::Fixed(bytes) = tensor.data() else {
        return None;
    };
    macro_rules! read {
        ($type:ty, $convert:expr) => {
            bytes
                .as_chunks::<{ size_of::<$type>() }>()
                .0
                .iter()
                .map(|le| $convert(<$type>::from_le_bytes(*le)))
                .collect()
        };
    }
    Some(match tensor.datatype() {
        DataType::Bool | DataType::Uint8 => read!(u8, f64::from),
        DataType::Uint16 => read!(u16, f64::from),
        DataType::Uint32 => read!(u32, f64::from),
        DataType::Uint64 => read!(u64, |value| value as f64),
        DataType::Int8 => read!(i8, f64::from),
        DataType::Int16 => read!(i16, f64::from),
        DataType::Int32 => read!(i32, f64::from),
        DataType::Int64 => read!(i64, |value| value as f64),
        DataType::Fp16 => read!(f16, f16::to_f64),
        DataType::Bf16 => read!(bf16, bf16::to_f64),
        DataType::Fp32 => read!(f32, f64::from),
        DataType::Fp64 => read!(f64, |value| value),
        DataType::Bytes => return None,
    })
}

/// Places of `values` from the largest down, the first among equals first, NaN last.
pub(crate) fn ranking(values: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    let key = |place: usize| if values[place].is_nan() { f64::NEG_INFINITY } else { values[place] };
    places.sort_by(|a, b| {
        key(*b).total_cmp(&key(*a)).then(values[*a].is_nan().cmp(&values[*b].is_nan()))
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_never_wins_and_the_first_of_equals_does() {
        assert_eq!(ranking(&[f64::NAN, 1.0, 3.0, 3.0, f64::NEG_INFINITY]), [2, 3, 1, 4, 0]);
        assert_eq!(ranking(&[]), [0_usize; 0]);
    }
}
