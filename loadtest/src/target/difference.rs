//! Whether outputs are what they should be. Floats may differ a little, since a server may add in another order
//! when requests share a batch; integers, booleans and strings may not.

use std::fmt;

use bytes::Bytes;
use half::{bf16, f16};
use tidegate_inference::{DataType, Tensor, TensorData};

/// How far a float may lie from what is expected: this much, and this share of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance(f64);

impl Tolerance {
    pub const DEFAULT: f64 = 1e-4;

    /// `None` when it is negative or no number.
    pub fn new(tolerance: f64) -> Option<Self> {
        (tolerance >= 0.0).then_some(Self(tolerance))
    }

    /// NaN equals NaN, an infinity its like.
    fn admits(self, expected: f64, found: f64) -> bool {
        expected == found
            || (expected.is_finite() && (expected - found).abs() <= self.0 * (1.0 + expected.abs()))
            || (expected.is_nan() && found.is_nan())
    }

    /// At least four steps of a format with so few digits.
    fn for_step(self, step: f64) -> Self {
        Self(self.0.max(4.0 * step))
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

/// What is wrong with `found`, in words; `None` when every expected output is there and right. Further outputs are
/// not looked at.
pub fn difference(expected: &[Tensor], found: &[Tensor], tolerance: Tolerance) -> Option<String> {
    expected.iter().find_map(|expected| {
        let name = expected.name();
        let Some(found) = found.iter().find(|tensor| tensor.name() == name) else {
            return Some(format!("output '{name}' is missing"));
        };
        if (found.datatype(), found.shape()) != (expected.datatype(), expected.shape()) {
            return Some(format!(
                "output '{name}': expected {} of {}, got {} of {}",
                expected.shape(),
                expected.datatype(),
                found.shape(),
                found.datatype()
            ));
        }
        let (element, expected, found) = first_difference(expected, found, tolerance)?;
        Some(format!("output '{name}'{element}: expected {expected}, got {found}"))
    })
}

/// Where the first difference is, and both values. The tensors have one datatype and one shape.
fn first_difference(
    expected: &Tensor,
    found: &Tensor,
    tolerance: Tolerance,
) -> Option<(Element, String, String)> {
    let at = |index| Element::new(expected, index);
    let (a, b) = match (expected.data(), found.data()) {
        (TensorData::Fixed(a), TensorData::Fixed(b)) => (a, b),
        (TensorData::Strings(a), TensorData::Strings(b)) => {
            let index = a.iter().zip(b).position(|(a, b)| a != b)?;
            return Some((at(index), shown(&a[index]), shown(&b[index])));
        }
        _ => return None,
    };
    // Nearly every answer is right to the last bit.
    if a == b {
        return None;
    }
    macro_rules! find {
        ($type:ty, $differ:expr) => {{
            let elements = |bytes: &Bytes| {
                let (elements, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                elements.iter().map(|le| <$type>::from_le_bytes(*le)).collect::<Vec<_>>()
            };
            let differ = $differ;
            let (a, b) = (elements(a), elements(b));
            let index = a.iter().zip(&b).position(|(a, b)| differ(*a, *b))?;
            Some((at(index), a[index].to_string(), b[index].to_string()))
        }};
    }
    match expected.datatype() {
        DataType::Fp32 => find!(f32, |a, b| !tolerance.admits(f64::from(a), f64::from(b))),
        DataType::Fp64 => find!(f64, |a, b| !tolerance.admits(a, b)),
        DataType::Fp16 => {
            let tolerance = tolerance.for_step(f16::EPSILON.to_f64());
            find!(f16, |a: f16, b: f16| !tolerance.admits(a.to_f64(), b.to_f64()))
        }
        DataType::Bf16 => {
            let tolerance = tolerance.for_step(bf16::EPSILON.to_f64());
            find!(bf16, |a: bf16, b: bf16| !tolerance.admits(a.to_f64(), b.to_f64()))
        }
        DataType::Int8 => find!(i8, |a, b| a != b),
        DataType::Int16 => find!(i16, |a, b| a != b),
        DataType::Int32 => find!(i32, |a, b| a != b),
        DataType::Int64 => find!(i64, |a, b| a != b),
        DataType::Bool | DataType::Uint8 | DataType::Bytes => find!(u8, |a, b| a != b),
        DataType::Uint16 => find!(u16, |a, b| a != b),
        DataType::Uint32 => find!(u32, |a, b| a != b),
        DataType::Uint64 => find!(u64, |a, b| a != b),
    }
}

/// An element's place along each dimension: `[1,3]`.
struct Element(Vec<usize>);

impl Element {
    fn new(tensor: &Tensor, mut index: usize) -> Self {
        let mut place: Vec<usize> = Vec::with_capacity(tensor.shape().len());
        for length in tensor.shape().iter().rev() {
            place.push(index % (*length).max(1));
            index /= (*length).max(1);
        }
        place.reverse();
        Self(place)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", tidegate_inference::Shape::new(&self.0))
    }
}

fn shown(string: &Bytes) -> String {
    format!("{:?}", String::from_utf8_lossy(&string[..string.len().min(40)]))
}

#[cfg(test)]
mod tests {
    use tidegate_inference::Shape;

    use super::*;

    fn fixed(datatype: DataType, shape: &[usize], bytes: &[u8]) -> Tensor {
        let data = TensorData::Fixed(Bytes::copy_from_slice(bytes));
        Tensor::new("y", datatype, Shape::new(shape), data).unwrap()
    }

    fn fp32(values: &[f32]) -> Tensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fixed(DataType::Fp32, &[values.len()], &bytes)
    }

    fn told(expected: Tensor, found: Tensor) -> Option<String> {
        difference(&[expected], &[found], Tolerance::default())
    }

    #[test]
    fn floats_may_be_off_a_little_and_nan_is_nan() {
        let expected = [1.0, -1000.0, 0.0, f32::NAN, f32::INFINITY];
        let found = [1.00009, -1000.09, 0.00009, -f32::NAN, f32::INFINITY];
        assert_eq!(told(fp32(&expected), fp32(&found)), None);
        for (expected, found) in [
            (1.0, 1.001),
            (0.0, f32::NAN),
            (f32::NAN, 0.0),
            (f32::INFINITY, f32::MAX),
            (f32::INFINITY, f32::NEG_INFINITY),
        ] {
            assert!(told(fp32(&[expected]), fp32(&[found])).is_some(), "{expected} {found}");
        }
    }

    #[test]
    fn formats_of_few_digits_get_room_for_their_steps() {
        let half = |value: f32| fixed(DataType::Fp16, &[1], &f16::from_f32(value).to_le_bytes());
        assert_eq!(told(half(1.0), half(1.002)), None);
        assert!(told(half(1.0), half(1.02)).is_some());
        let brain = |value: f32| fixed(DataType::Bf16, &[1], &bf16::from_f32(value).to_le_bytes());
        assert_eq!(told(brain(1.0), brain(1.01)), None);
        assert!(told(brain(1.0), brain(1.2)).is_some());
    }

    #[test]
    fn integers_and_strings_are_exact_and_the_place_is_told() {
        let found = told(
            fixed(DataType::Uint8, &[2, 3], &[0, 1, 2, 3, 4, 5]),
            fixed(DataType::Uint8, &[2, 3], &[0, 1, 2, 3, 9, 5]),
        );
        assert_eq!(found.unwrap(), "output 'y'[1,1]: expected 4, got 9");
        let text = |text: &'static str| {
            let data = TensorData::Strings(vec![Bytes::from(text)]);
            Tensor::new("y", DataType::Bytes, Shape::new(&[]), data).unwrap()
        };
        assert_eq!(told(text("a"), text("b")).unwrap(), "output 'y'[]: expected \"a\", got \"b\"");
    }

    #[test]
    fn an_output_that_is_missing_or_another_kind_is_wrong_and_a_further_one_is_not() {
        let (expected, other) = (fp32(&[1.0]), fp32(&[2.0]).renamed("z".into()));
        assert_eq!(told(expected.clone(), other.clone()).unwrap(), "output 'y' is missing");
        assert_eq!(
            told(expected.clone(), fp32(&[1.0, 2.0])).unwrap(),
            "output 'y': expected [1] of FP32, got [2] of FP32"
        );
        assert_eq!(
            difference(
                std::slice::from_ref(&expected),
                &[other, expected.clone()],
                Tolerance::default()
            ),
            None
        );
    }
}
