//! `POST /predict`: `{"image": ...}` or `{"instances": [...]}` for a model with one input, answered with
//! `{"predictions": ..., "class": ...}`.

use bytes::Bytes;
use tidegate_inference::{Error, Signature, Tensor};

use crate::{DecodeError, JsonLimits};

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

pub fn decode(
    _body: &[u8],
    _signature: &Signature,
    _limits: JsonLimits,
) -> Result<PredictRequest, DecodeError> {
    unimplemented!("body follows")
}

/// `outputs`: all outputs of the model, in its order.
pub fn encode(_samples: Samples, _outputs: &[Tensor]) -> Result<Bytes, Error> {
    unimplemented!("body follows")
}
