//! Where the rows of a model's tensors lie.
//!
//! The batch axis is usually 0 and not always: a recurrent state batches on axis 1, a text
//! recogniser takes rows on one axis and returns them on another, and some inputs (a scale, a
//! threshold) have none and are shared by all rows. The layout is found by running the model
//! when it is loaded; here it is only used.

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::OnceLock;

use foldhash::quality::RandomState;
use tidegate_inference::{Error, Result, Tensor, TensorData};

use crate::BatchPolicy;
use crate::rows::slice_rows;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputAxis {
    /// Rows lie along this axis.
    Rows(usize),
    /// No rows: requests share a batch only when they agree on the value.
    Shared,
}

/// Axes in the order of the model's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    pub inputs: Vec<InputAxis>,
    pub outputs: Vec<usize>,
}

/// Whether a model's requests share batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batching {
    Rows {
        layout: RowLayout,
        policy: BatchPolicy,
    },
    /// One request at a time, with whatever shape it has.
    Unbatched,
}

impl RowLayout {
    /// Some rows of a request.
    pub(crate) fn rows_of(&self, inputs: &[Tensor], rows: Range<usize>) -> Vec<Tensor> {
        let cut = inputs.iter().zip(&self.inputs).map(|(tensor, axis)| match *axis {
            InputAxis::Rows(axis) => slice_rows(tensor, axis, rows.clone()),
            InputAxis::Shared => tensor.clone(),
        });
        cut.collect()
    }
}

impl Batching {
    /// Rows of a request whose inputs stand in the signature's order. An unbatched one counts as one.
    ///
    /// # Errors
    /// When the inputs disagree, or have no row at all.
    pub(crate) fn rows(&self, inputs: &[Tensor]) -> Result<usize> {
        match self {
            Self::Rows { layout, .. } => layout.rows(inputs),
            Self::Unbatched => Ok(1),
        }
    }

    /// Rows that a batch may have.
    pub(crate) fn max_rows(&self) -> usize {
        match self {
            Self::Rows { policy, .. } => policy.max_batch_size(),
            Self::Unbatched => 1,
        }
    }

    /// A number that is equal for requests that may share a batch, and nearly always differs for others.
    pub(crate) fn bucket(&self, inputs: &[Tensor]) -> u64 {
        match self {
            Self::Rows { layout, .. } => layout.bucket(inputs),
            Self::Unbatched => 0,
        }
    }
}

impl RowLayout {
    pub(crate) fn rows(&self, inputs: &[Tensor]) -> Result<usize> {
        let mut found: Option<(usize, &Tensor)> = None;
        for (tensor, axis) in inputs.iter().zip(&self.inputs) {
            let InputAxis::Rows(axis) = *axis else { continue };
            let Some(&rows) = tensor.shape().get(axis) else {
                return Err(Error::invalid(format!(
                    "unexpected shape for input '{}': expected rows on axis {axis}, got {}",
                    tensor.name(),
                    tensor.shape()
                )));
            };
            match found {
                Some((expected, first)) if expected != rows => {
                    return Err(Error::invalid(format!(
                        "input '{}' batch size does not match other inputs: expected {expected} rows as in input '{}', got {rows}",
                        tensor.name(),
                        first.name()
                    )));
                }
                _ => found = Some((rows, tensor)),
            }
        }
        match found {
            Some((0, tensor)) => Err(Error::invalid(format!(
                "input '{}': expected at least one row, got 0",
                tensor.name()
            ))),
            Some((rows, _)) => Ok(rows),
            None => Err(Error::internal("a row layout has at least one input with rows")),
        }
    }

    /// A number that is equal for requests that may share a batch. Unequal requests can have equal
    /// numbers: ask [`RowLayout::agree`] as well.
    fn bucket(&self, inputs: &[Tensor]) -> u64 {
        // Seeded at random once: nobody outside can choose shapes that collide.
        static SEED: OnceLock<RandomState> = OnceLock::new();
        let mut hasher = SEED.get_or_init(RandomState::default).build_hasher();
        for (tensor, axis) in inputs.iter().zip(&self.inputs) {
            match axis {
                InputAxis::Rows(axis) => {
                    for (index, dim) in tensor.shape().iter().enumerate() {
                        if index != *axis {
                            dim.hash(&mut hasher);
                        }
                    }
                }
                InputAxis::Shared => {
                    tensor.shape().hash(&mut hasher);
                    match tensor.data() {
                        TensorData::Fixed(bytes) => bytes.hash(&mut hasher),
                        TensorData::Strings(strings) => strings.hash(&mut hasher),
                    }
                }
            }
        }
        hasher.finish()
    }

    /// Whether two requests may share a batch: the same dimensions but for the rows, and the same
    /// values where a value is shared. (Names and datatypes agree already: both fit the signature.)
    pub(crate) fn agree(&self, a: &[Tensor], b: &[Tensor]) -> bool {
        a.iter().zip(b).zip(&self.inputs).all(|((a, b), axis)| match axis {
            InputAxis::Rows(axis) => {
                let (a, b) = (a.shape(), b.shape());
                a.len() == b.len()
                    && a.iter().zip(b.iter()).enumerate().all(|(i, (a, b))| i == *axis || a == b)
            }
            InputAxis::Shared => a.shape() == b.shape() && a.data() == b.data(),
        })
    }
}
