//! What is asked: made up within the model's metadata, or taken from files. All of it is prepared before
//! the load, and so it is bounded: it has to fit into memory.

mod expected;
mod files;
mod random;
mod shapes;
mod vocabulary;

use std::path::Path;

use tidegate_inference::{Parameters, Signature, Tensor};

use self::expected::Expected;
use self::files::Body;
use self::random::Dice;
use self::shapes::Sizes;
use super::address::Family;
use super::arguments::TargetOptions;
use super::format::Format;
use crate::Failure;
use crate::question::Question;

/// Questions of a load, at most.
const MOST_QUESTIONS: usize = 10_000;
/// Bytes of all of them together, at most; a single body is bounded by the server.
const MOST_BYTES: usize = 1 << 30;

/// Asks for the model's contract where it is needed, and only then: it costs a request.
pub(super) type Contract<'a> = dyn Fn() -> Result<Signature, Failure> + 'a;

pub(super) struct Payload<'a> {
    pub(super) family: Family,
    pub(super) format: &'a dyn Format,
    pub(super) options: &'a TargetOptions,
    pub(super) contract: &'a Contract<'a>,
}

impl Payload<'_> {
    /// Never empty.
    pub(super) fn questions(&self, seed: u64) -> Result<Vec<Question>, Failure> {
        match &self.options.payload {
            None => self.made_up(seed),
            Some(path) => self.filed(path),
        }
    }

    fn made_up(&self, seed: u64) -> Result<Vec<Question>, Failure> {
        let variants = self.options.variants;
        if !(1..=MOST_QUESTIONS).contains(&variants) {
            return Err(Failure::new(format!(
                "--variants {variants}: expected 1 to {MOST_QUESTIONS}"
            )));
        }
        let signature = (self.contract)()?;
        let sizes = Sizes { rows: self.options.rows, shapes: &self.options.shapes };
        let shapes = sizes.of_inputs(&signature)?;
        let inputs = || signature.inputs.iter().zip(&shapes);
        let bytes = inputs()
            .try_fold(0_usize, |sum, (spec, shape)| sum.checked_add(random::size(spec, shape)?))
            .and_then(|bytes| bytes.checked_mul(variants));
        if bytes.is_none_or(|bytes| bytes > MOST_BYTES) {
            return Err(Failure::new(format!(
                "{variants} questions of this shape take more than {MOST_BYTES} bytes: take fewer --variants or \
                 a smaller --shape"
            )));
        }
        let rows = shapes::rows(&signature, &shapes);
        let parameters = self.parameters();
        let question = |number| {
            let mut dice = Dice::for_question(seed, number);
            let tensors: Result<Vec<Tensor>, Failure> =
                inputs().map(|(spec, shape)| dice.tensor(spec, shape)).collect();
            let request = self.format.request(&tensors?, &parameters)?;
            Ok(Question { request, rows, expected: None })
        };
        (0..variants).map(question).collect()
    }

    fn filed(&self, path: &Path) -> Result<Vec<Question>, Failure> {
        let bodies = files::read(path)?;
        let expected = expected::pair(&bodies, self.options.expected.as_deref())?;
        let questions = bodies.iter().zip(expected);
        questions.map(|(body, expected)| self.filed_one(body, expected)).collect()
    }

    fn filed_one(&self, body: &Body, expected: Option<Expected>) -> Result<Question, Failure> {
        let expected = expected.map(|expected| self.right(&expected)).transpose()?;
        let plain = self.options.parameters.is_empty() && self.options.signature_name.is_none();
        let verbatim = plain.then(|| self.format.verbatim(body.bytes.clone(), body.json_length));
        if let Some(request) = verbatim.flatten() {
            let rows = vocabulary::rows(self.family, &body.bytes, body.json_length);
            return Ok(Question { request, rows, expected });
        }
        self.written_again(body, expected).map_err(|error| error.within(&body.place))
    }

    fn written_again(
        &self,
        body: &Body,
        expected: Option<Vec<Tensor>>,
    ) -> Result<Question, Failure> {
        let signature = self.contract_for_files()?;
        let (inputs, mut parameters) =
            vocabulary::request(self.family, &body.bytes, body.json_length, &signature)?;
        parameters.extend(self.parameters());
        let request = self.format.request(&inputs, &parameters)?;
        Ok(Question { request, rows: vocabulary::shared_rows(&inputs), expected })
    }

    fn right(&self, expected: &Expected) -> Result<Vec<Tensor>, Failure> {
        let signature = self.contract_for_files()?;
        vocabulary::response(self.family, &expected.bytes, expected.json_length, &signature)
            .map_err(|error| error.within(&expected.place))
    }

    /// Only TensorFlow Serving's bodies cannot be read without.
    fn contract_for_files(&self) -> Result<Signature, Failure> {
        match self.family {
            Family::TensorFlow => (self.contract)(),
            Family::OpenInference => Ok(Signature { inputs: Vec::new(), outputs: Vec::new() }),
        }
    }

    fn parameters(&self) -> Parameters {
        self.options.parameters.iter().cloned().collect()
    }
}
