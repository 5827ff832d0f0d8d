//! Inputs that fit a model's contract: every row random, the same in every run with one seed.

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidegate_inference::{DataType, Dim, Shape, Signature, Tensor, TensorData, TensorSpec};

use crate::Failure;

/// Indices, token ids and class numbers are integers too, and small ones are right for nearly every model.
const INTEGERS: u8 = 10;

/// What one row of an input looks like, without the dimension of the batch: `ids=128`, `image=3,224,224`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedShape {
    name: String,
    dims: Vec<usize>,
}

impl FromStr for NamedShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected NAME=DIMS, such as image=3,224,224, got '{text}'");
        let (name, dims) = text.split_once('=').ok_or_else(wrong)?;
        let dims =
            dims.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        Ok(Self { name: name.to_owned(), dims })
    }
}

/// Makes batches for one model.
#[derive(Debug)]
pub struct Inputs {
    rows: Vec<Row>,
    batches: bool,
    seed: u64,
}

#[derive(Debug)]
struct Row {
    spec: TensorSpec,
    /// Without the dimension of the batch where there is one.
    dims: Vec<usize>,
}

impl Inputs {
    /// # Errors
    /// When a dynamic dimension is given no length, or a shape is given that no input has.
    pub fn new(signature: &Signature, shapes: &[NamedShape], seed: u64) -> Result<Self, Failure> {
        if let Some(unknown) = shapes.iter().find(|shape| signature.input(&shape.name).is_none()) {
            let names: Vec<&str> = signature.inputs.iter().map(|spec| &*spec.name).collect();
            let NamedShape { name, .. } = unknown;
            let known = names.join(", ");
            return Err(format!("--shape {name}: the model's inputs are {known}").into());
        }
        let batches = signature.inputs.iter().all(|spec| spec.shape.first() == Some(&Dim::Dynamic));
        let given: BTreeMap<&str, &[usize]> =
            shapes.iter().map(|shape| (&*shape.name, &*shape.dims)).collect();
        let row = |spec: &TensorSpec| {
            let declared = &spec.shape[usize::from(batches)..];
            let dims = dims(&spec.name, declared, given.get(&*spec.name).copied())?;
            Ok::<_, Failure>(Row { spec: spec.clone(), dims })
        };
        let rows = signature.inputs.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { rows, batches, seed })
    }

    /// Whether the first dimension of every input is open. If not, the model takes one request at a time, and a row is a run.
    pub fn batches(&self) -> bool {
        self.batches
    }

    /// A batch of so many rows, of which smaller ones are the head.
    ///
    /// # Errors
    /// When it would be too large for memory to be counted.
    pub fn batch(&self, rows: usize) -> Result<Vec<Tensor>, Failure> {
        let batch = |row: &Row| {
            let mut random = ChaCha8Rng::seed_from_u64(self.seed);
            let dims = self.batches.then_some(rows).into_iter().chain(row.dims.iter().copied());
            let shape: Shape = dims.collect();
            let too_large = || format!("input '{}': shape {shape} is too large", row.spec.name);
            let elements = shape.elements().filter(|elements| *elements < 1 << 32);
            let data = data(row.spec.datatype, elements.ok_or_else(too_large)?, &mut random);
            Tensor::new(row.spec.name.clone(), row.spec.datatype, shape, data)
                .map_err(|error| Failure::new(error.message()))
        };
        self.rows.iter().map(batch).collect()
    }
}

fn dims(name: &str, declared: &[Dim], given: Option<&[usize]>) -> Result<Vec<usize>, Failure> {
    let shown = || {
        let dim = |dim: &Dim| match dim {
            Dim::Fixed(length) => length.to_string(),
            Dim::Dynamic => "?".to_owned(),
        };
        declared.iter().map(dim).collect::<Vec<_>>().join(",")
    };
    let Some(given) = given else {
        let fixed = |dim: &Dim| match dim {
            Dim::Fixed(length) => Some(*length),
            Dim::Dynamic => None,
        };
        return declared.iter().map(fixed).collect::<Option<_>>().ok_or_else(|| {
            let shown = shown();
            format!(
                "input '{name}' has dimensions of any length: give them, as --shape {name}={shown}"
            )
            .into()
        });
    };
    let fits = |(dim, given): (&Dim, &usize)| *dim == Dim::Dynamic || *dim == Dim::Fixed(*given);
    if given.len() == declared.len() && declared.iter().zip(given).all(fits) {
        return Ok(given.to_vec());
    }
    Err(format!("--shape {name}: expected {} for one row, got {given:?}", shown()).into())
}

fn data(datatype: DataType, elements: usize, random: &mut ChaCha8Rng) -> TensorData {
    if datatype == DataType::Bytes {
        let string = |_| Bytes::from(random.random_range(0..INTEGERS).to_string());
        return TensorData::Strings((0..elements).map(string).collect());
    }
    let mut bytes = Vec::with_capacity(elements * datatype.size().unwrap_or(1));
    for _ in 0..elements {
        let integer = random.random_range(0..INTEGERS);
        let number = random.random::<f32>();
        match datatype {
            DataType::Bool => bytes.push(integer % 2),
            DataType::Fp16 => bytes.extend(half::f16::from_f32(number).to_le_bytes()),
            DataType::Bf16 => bytes.extend(half::bf16::from_f32(number).to_le_bytes()),
            DataType::Fp32 => bytes.extend(number.to_le_bytes()),
            DataType::Fp64 => bytes.extend(f64::from(number).to_le_bytes()),
            // Little-endian, and positive: the rest of any integer is zeros.
            _ => {
                bytes.push(integer);
                bytes.resize(bytes.len() + datatype.size().unwrap_or(1) - 1, 0);
            }
        }
    }
    TensorData::Fixed(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(datatype: DataType, shape: &[Dim]) -> Signature {
        let input = TensorSpec { name: "x".into(), datatype, shape: shape.to_vec() };
        Signature { inputs: vec![input], outputs: Vec::new() }
    }

    fn shapes(text: &str) -> Vec<NamedShape> {
        text.split_whitespace().map(|shape| shape.parse().unwrap()).collect()
    }

    const OPEN: [Dim; 3] = [Dim::Dynamic, Dim::Dynamic, Dim::Fixed(4)];

    #[test]
    fn a_batch_of_every_datatype_fits_its_contract() {
        for datatype in DataType::ALL {
            let signature = signature(datatype, &OPEN);
            let inputs = Inputs::new(&signature, &shapes("x=3,4"), 1).unwrap();
            let batch = inputs.batch(2).unwrap();
            assert_eq!(**batch[0].shape(), [2, 3, 4]);
            assert!(signature.arrange(batch).is_ok(), "{datatype}");
        }
    }

    #[test]
    fn one_seed_gives_one_batch_and_another_seed_another() {
        let signature = signature(DataType::Fp32, &[Dim::Dynamic, Dim::Fixed(4)]);
        let of = |seed| Inputs::new(&signature, &[], seed).unwrap().batch(3).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn a_model_whose_first_dimension_is_fixed_takes_one_request_at_a_time() {
        let signature = signature(DataType::Fp32, &[Dim::Fixed(1), Dim::Fixed(4)]);
        let inputs = Inputs::new(&signature, &[], 1).unwrap();
        assert!(!inputs.batches());
        assert_eq!(**inputs.batch(8).unwrap()[0].shape(), [1, 4]);
    }

    #[test]
    fn a_missing_or_wrong_shape_is_refused_with_what_was_expected() {
        let signature = signature(DataType::Fp32, &OPEN);
        let error = |given| Inputs::new(&signature, &shapes(given), 1).unwrap_err().to_string();
        assert!(error("").contains("--shape x=?,4"), "{}", error(""));
        assert!(error("x=3,5").contains("expected ?,4"), "{}", error("x=3,5"));
        assert!(error("x=3").contains("expected ?,4"), "{}", error("x=3"));
        assert!(error("y=3,4").contains("inputs are x"), "{}", error("y=3,4"));
        for text in ["x", "x=", "x=a", "x=-1"] {
            assert!(text.parse::<NamedShape>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_batch_that_memory_cannot_hold_is_refused() {
        let signature = signature(DataType::Fp32, &OPEN);
        let inputs = Inputs::new(&signature, &shapes("x=99999999999,4"), 1).unwrap();
        assert!(inputs.batch(2).unwrap_err().to_string().contains("too large"));
    }
}
