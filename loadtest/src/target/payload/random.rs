//! Made-up tensors. The same seed gives the same values on every machine; a question's values depend on nothing
//! but the seed and its number.

use bytes::Bytes;
use half::{bf16, f16};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidegate_inference::{DataType, Shape, Tensor, TensorData, TensorSpec};

use crate::Failure;

/// Wide integers stay below this: they are token ids and indices as often as quantities, and those have to exist.
const SMALL: u64 = 10;
/// Letters of a made-up string, at most.
const LONGEST_STRING: usize = 16;

pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn for_question(seed: u64, number: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number as u64);
        Self(random)
    }

    /// Floats from 0 to 1, as pixels and probabilities have them; small integers over their whole range.
    pub(super) fn tensor(&mut self, spec: &TensorSpec, shape: &Shape) -> Result<Tensor, Failure> {
        let elements = shape.elements().unwrap_or(usize::MAX);
        let data = self.data(spec.datatype, elements);
        Tensor::new(spec.name.clone(), spec.datatype, shape.clone(), data)
            .map_err(|error| Failure::new(error.to_string()))
    }

    fn data(&mut self, datatype: DataType, elements: usize) -> TensorData {
        let random = &mut self.0;
        macro_rules! fill {
            ($make:expr) => {{
                let mut bytes = Vec::with_capacity(elements * datatype.size().unwrap_or(1));
                for _ in 0..elements {
                    bytes.extend_from_slice(&$make.to_le_bytes());
                }
                TensorData::Fixed(bytes.into())
            }};
        }
        match datatype {
            DataType::Bool => fill!(random.random_range(0..=1_u8)),
            DataType::Uint8 => fill!(random.random::<u8>()),
            DataType::Int8 => fill!(random.random::<i8>()),
            DataType::Uint16 => fill!(random.random_range(0..SMALL as u16)),
            DataType::Int16 => fill!(random.random_range(0..SMALL as i16)),
            DataType::Uint32 => fill!(random.random_range(0..SMALL as u32)),
            DataType::Int32 => fill!(random.random_range(0..SMALL as i32)),
            DataType::Uint64 => fill!(random.random_range(0..SMALL)),
            DataType::Int64 => fill!(random.random_range(0..SMALL as i64)),
            DataType::Fp16 => fill!(f16::from_f32(random.random())),
            DataType::Bf16 => fill!(bf16::from_f32(random.random())),
            DataType::Fp32 => fill!(random.random::<f32>()),
            DataType::Fp64 => fill!(random.random::<f64>()),
            DataType::Bytes => TensorData::Strings((0..elements).map(|_| string(random)).collect()),
        }
    }
}

/// Bytes that a tensor of this shape takes at most; `None` when they cannot be counted.
pub(super) fn size(spec: &TensorSpec, shape: &Shape) -> Option<usize> {
    shape.elements()?.checked_mul(spec.datatype.size().unwrap_or(LONGEST_STRING))
}

fn string(random: &mut ChaCha8Rng) -> Bytes {
    let length = random.random_range(1..=LONGEST_STRING);
    (0..length).map(|_| random.random_range(b'a'..=b'z')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolled(seed: u64, number: usize, datatype: DataType) -> Tensor {
        let spec = TensorSpec { name: "x".into(), datatype, shape: vec![] };
        Dice::for_question(seed, number).tensor(&spec, &Shape::new(&[3, 100])).unwrap()
    }

    #[test]
    fn every_datatype_can_be_made_up_and_the_same_seed_says_the_same() {
        for datatype in DataType::ALL {
            let tensor = rolled(7, 0, datatype);
            assert_eq!(tensor.elements(), 300, "{datatype}");
            assert_eq!(tensor, rolled(7, 0, datatype));
            assert_ne!(tensor, rolled(7, 1, datatype), "{datatype}");
            assert_ne!(tensor, rolled(8, 0, datatype), "{datatype}");
        }
    }

    #[test]
    fn values_are_the_same_on_every_machine() {
        let TensorData::Fixed(bytes) = rolled(1, 0, DataType::Int64).data().clone() else {
            panic!("INT64")
        };
        let (values, _) = bytes.as_chunks::<8>();
        let values: Vec<i64> = values.iter().take(8).map(|le| i64::from_le_bytes(*le)).collect();
        assert_eq!(values, [4, 0, 5, 2, 2, 7, 4, 1]);
    }

    #[test]
    fn values_are_ones_that_models_can_take() {
        let TensorData::Fixed(bits) = rolled(1, 0, DataType::Bool).data().clone() else { panic!() };
        assert!(bits.iter().all(|bit| *bit <= 1));
        let TensorData::Fixed(halves) = rolled(1, 0, DataType::Fp16).data().clone() else {
            panic!()
        };
        let (halves, _) = halves.as_chunks::<2>();
        assert!(halves.iter().all(|le| (0.0..=1.0).contains(&f16::from_le_bytes(*le).to_f32())));
        let TensorData::Strings(strings) = rolled(1, 0, DataType::Bytes).data().clone() else {
            panic!()
        };
        assert!(strings.iter().all(|text| (1..=16).contains(&text.len()) && text.is_ascii()));
    }
}
