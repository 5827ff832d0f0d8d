//! `model_warmup`: requests that every instance answers before the version is served. Their values are zeros, random
//! numbers (always the same ones, small enough to be an index), or the bytes of a file in the model's folder `warmup`.

use std::fs;
use std::path::{Component, Path};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tidegate_backend::{Instance, LoadError};
use tidegate_batcher::InputBuffers;
use tidegate_inference::{DataType, Shape, Signature, Tensor, TensorData};

use super::claims::{Rows, datatype, dims};
use super::section::Section;

/// Loading takes as long as they do.
const MOST_RUNS: i128 = 1000;
const MOST_ROWS: i128 = 1 << 16;
/// No tensor of them is larger.
const MOST_BYTES: usize = 64 << 20;

/// A request as it is described.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmUpSample {
    name: String,
    rows: usize,
    runs: usize,
    inputs: Vec<(String, Input)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Input {
    datatype: Option<DataType>,
    dims: Vec<i64>,
    values: Values,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    Zero,
    Random,
    /// In the folder `warmup`.
    File(String),
}

/// A request as it is run: inputs in the order of the signature, and how often.
pub struct WarmUpRequest {
    name: String,
    pub inputs: Vec<Tensor>,
    runs: usize,
}

pub fn read(root: &Section<'_>) -> Vec<WarmUpSample> {
    let mut samples = Vec::new();
    for section in root.sections("model_warmup") {
        let inputs = section.entries("inputs");
        samples.push(WarmUpSample {
            name: section.text("name").unwrap_or_default(),
            rows: section.integer("batch_size", 1..=MOST_ROWS).unwrap_or(1),
            runs: section.integer("count", 0..=MOST_RUNS).unwrap_or(1).max(1),
            inputs: inputs.into_iter().map(|(name, input)| (name, Input::read(&input))).collect(),
        });
        section.end();
    }
    samples
}

impl Input {
    fn read(section: &Section<'_>) -> Self {
        let file = section.text("input_data_file");
        // Their values do not matter, says Triton: that they are there does.
        let is_random = section.boolean("random_data").is_some();
        section.boolean("zero_data");
        if file.as_ref().is_some_and(|file| !is_inside(file)) {
            section.fault("input_data_file", "expected a file inside the model's folder 'warmup'");
        }
        let values = match file {
            Some(file) => Values::File(file),
            None if is_random => Values::Random,
            None => Values::Zero,
        };
        let input = Self { datatype: datatype(section), dims: dims(section, "dims"), values };
        section.end();
        input
    }
}

/// Whether a path cannot climb out of the folder that it is relative to.
fn is_inside(file: &str) -> bool {
    Path::new(file).components().all(|part| matches!(part, Component::Normal(_)))
}

impl WarmUpSample {
    /// # Errors
    /// When a file is missing, or the inputs do not fit the model.
    pub fn request(
        &self,
        rows: Rows,
        folder: &Path,
        signature: &Signature,
    ) -> Result<WarmUpRequest, LoadError> {
        let inputs = self.inputs.iter().map(|(name, input)| {
            let made = input.tensor(name, self.rows, rows, folder, signature);
            made.map_err(|why| format!("input '{name}': {why}"))
        });
        let arranged = inputs.collect::<Result<Vec<_>, _>>().and_then(|inputs| {
            signature.arrange(inputs).map_err(|error| error.message().to_owned())
        });
        let inputs = arranged
            .map_err(|why| LoadError::new(format!("model_warmup sample '{}': {why}", self.name)))?;
        Ok(WarmUpRequest { name: self.name.clone(), inputs, runs: self.runs })
    }
}

impl Input {
    fn tensor(
        &self,
        name: &str,
        batch_size: usize,
        rows: Rows,
        folder: &Path,
        signature: &Signature,
    ) -> Result<Tensor, String> {
        let spec = signature.input(name).ok_or("the model has no such input")?;
        let datatype = self.datatype.unwrap_or(spec.datatype);
        let dims = self.dims.iter().map(|dim| usize::try_from(*dim));
        let one: Shape = dims.collect::<Result<_, _>>().map_err(|_| "expected dims from 0")?;
        // What is said without a max_batch_size is as long as the model has it.
        let has_rows = match rows {
            Rows::First => true,
            Rows::None => false,
            Rows::Unsaid => one.len() + 1 == spec.shape.len(),
        };
        let (copies, shape) = if has_rows {
            (batch_size, std::iter::once(batch_size).chain(one.iter().copied()).collect())
        } else {
            (1, one.clone())
        };
        let data = self.data(datatype, &one, copies, folder)?;
        Tensor::new(Arc::clone(&spec.name), datatype, shape, data)
            .map_err(|error| error.message().to_owned())
    }

    /// The values of one row, so many times.
    fn data(
        &self,
        datatype: DataType,
        one: &Shape,
        copies: usize,
        folder: &Path,
    ) -> Result<TensorData, String> {
        let size = datatype.size().unwrap_or(1);
        let total =
            one.elements().and_then(|elements| elements.checked_mul(size)?.checked_mul(copies));
        let total = total.filter(|bytes| *bytes <= MOST_BYTES);
        let total = total.ok_or_else(|| format!("expected at most {MOST_BYTES} bytes"))?;
        let elements = total / copies.max(1) / size;
        let row = match (&self.values, datatype.size()) {
            (Values::File(file), _) => {
                from_file(&folder.join("warmup").join(file), datatype, elements)?
            }
            (Values::Zero | Values::Random, None) => {
                TensorData::Strings(vec![Bytes::new(); elements])
            }
            (Values::Zero, Some(size)) => TensorData::Fixed(vec![0; elements * size].into()),
            (Values::Random, Some(_)) => TensorData::Fixed(random(datatype, elements)),
        };
        Ok(match row {
            TensorData::Fixed(row) => TensorData::Fixed(row.repeat(copies).into()),
            TensorData::Strings(row) => {
                TensorData::Strings(std::iter::repeat_n(row, copies).flatten().collect())
            }
        })
    }
}

fn from_file(path: &Path, datatype: DataType, elements: usize) -> Result<TensorData, String> {
    let said = |what: String| format!("{}: {what}", path.display());
    let length = fs::metadata(path).map_err(|error| said(error.to_string()))?.len();
    if length > MOST_BYTES as u64 {
        return Err(said(format!("expected at most {MOST_BYTES} bytes, got {length}")));
    }
    let bytes = Bytes::from(fs::read(path).map_err(|error| said(error.to_string()))?);
    if let Some(size) = datatype.size() {
        let (expected, got) = (elements * size, bytes.len());
        if expected != got {
            return Err(said(format!("expected {expected} bytes, got {got}")));
        }
        return Ok(TensorData::Fixed(bytes));
    }
    strings(bytes, elements).map(TensorData::Strings).ok_or_else(|| {
        said(format!("expected {elements} strings, each after its length in 4 bytes"))
    })
}

/// `None` when there are others than so many.
fn strings(mut bytes: Bytes, elements: usize) -> Option<Vec<Bytes>> {
    let mut strings = Vec::new();
    for _ in 0..elements {
        let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        if bytes.len() - 4 < length {
            return None;
        }
        drop(bytes.split_to(4));
        strings.push(bytes.split_to(length));
    }
    bytes.is_empty().then_some(strings)
}

/// Floats from 0 to 1, integers 0 or 1: what is an index somewhere in the model stays in bounds.
fn random(datatype: DataType, elements: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = BytesMut::new();
    for _ in 0..elements {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bit = state >> 63;
        match datatype {
            DataType::Fp64 => {
                bytes.extend_from_slice(
                    &((state >> 11) as f64 / (1_u64 << 53) as f64).to_le_bytes(),
                );
            }
            DataType::Fp32 => {
                bytes.extend_from_slice(
                    &((state >> 40) as f32 / (1_u32 << 24) as f32).to_le_bytes(),
                );
            }
            // Half floats below 1 by their bits: any exponent below that of 1.
            DataType::Fp16 => {
                bytes.extend_from_slice(&((state >> 48) as u16 % 0x3c00).to_le_bytes())
            }
            DataType::Bf16 => {
                bytes.extend_from_slice(&((state >> 48) as u16 % 0x3f80).to_le_bytes())
            }
            other => bytes.extend_from_slice(&bit.to_le_bytes()[..other.size().unwrap_or(0)]),
        }
    }
    bytes.freeze()
}

/// Has every instance answer every request.
///
/// # Errors
/// When one does not.
pub fn run(
    instances: &mut [Box<dyn Instance>],
    requests: &[WarmUpRequest],
) -> Result<(), LoadError> {
    let mut buffers = InputBuffers::default();
    for instance in instances {
        for WarmUpRequest { name, inputs, runs } in requests {
            for _ in 0..*runs {
                instance.run(&buffers.views(inputs)).map_err(|failure| {
                    LoadError::new(format!("model_warmup sample '{name}' fails: {failure}"))
                })?;
            }
        }
    }
    Ok(())
}
