//! `POST /predict`: `{"image": ...}` or `{"instances": [...]}` for a model with one input, answered with
//! `{"predictions": ..., "class": ...}`, as small Flask services do it.
//!
//! No protocol says more than that, so these are our rules. A sample may leave out the batch dimension
//! and dimensions of 1, or be flat. `predictions` is the float output whose name speaks of scores, or the
//! first float output, or the first output. `class` is the integer or text output with one element a row
//! whose name speaks of labels, or the first such; without one, the place of the largest prediction.

mod answer;
mod request;

use tidegate_inference::Tensor;

pub use answer::encode;
pub use request::decode;

/// How many samples were sent, hence how the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// `image`: one sample; the answer is one row and one class.
    One,
    /// `instances`: the answer is lists.
    Many,
}

#[derive(Clone, Debug)]
pub struct PredictRequest {
    pub samples: Samples,
    pub inputs: Vec<Tensor>,
}
