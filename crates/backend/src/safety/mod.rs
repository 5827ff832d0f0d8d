//! Whether requests may share a batch: found out by trying, when a version is loaded.
//!
//! A dynamic first dimension proves nothing. It may be time, the rows may lie along another axis, a
//! normalisation may mix them, a quantized model may derive its scale from whatever is in the batch,
//! a reshape may hard-code one row. So two different sample requests A and B are run alone and then
//! stacked, `[A;B]`, `[B;A]` and `[A;B;A]` (a position-dependent model gets the first place right
//! and another wrong), and everybody's rows are compared with what they were alone. The axes for
//! which this holds are the layout; when it holds for none, the version is served unbatched, and
//! the reason says what was seen.
//!
//! The check can be fooled in one direction only: by samples that do not show a dependence that
//! exists. Requests that look like real ones, in the version's `samples/`, are better than generated.

mod compare;
mod layouts;
mod samples;

#[cfg(test)]
mod tests;

use tidegate_batcher::{InputAxis, InputBuffers, RowLayout, concat_rows, slice_rows};
use tidegate_inference::{Dim, Shape, Signature, Tensor, TensorSpec};

use crate::engine::run_caught;
use crate::{Instance, LoadError};
use compare::difference;
use samples::Pair;

/// What the check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchSafety {
    Batched(RowLayout),
    /// One request at a time, and why.
    Unbatched {
        reason: String,
    },
}

/// The orders in which A (0) and B (1) are stacked.
const ORDERS: [&[usize]; 3] = [&[0, 1], &[1, 0], &[0, 1, 0]];

/// Finds out whether, and along which axes, requests may share a batch.
///
/// `samples` are requests in the order of the signature; where no two of them can be stacked,
/// requests are generated within shape and datatype, the same ones every time.
///
/// # Errors
/// When the version fails on one of its own samples alone: then it cannot be served.
pub fn check_batch_safety(
    instance: &mut dyn Instance,
    signature: &Signature,
    samples: &[Vec<Tensor>],
) -> Result<BatchSafety, LoadError> {
    let mut engine = Engine { instance, signature, buffers: InputBuffers::default() };
    for (index, sample) in samples.iter().enumerate() {
        engine.run(sample).map_err(|error| {
            LoadError::new(format!("the version fails on its own sample {}: {error}", index + 1))
        })?;
    }
    if let Some(reason) = why_no_batch_dimension(signature) {
        return Ok(BatchSafety::Unbatched { reason });
    }
    let mut first_reason = None;
    for inputs in layouts::candidates(signature) {
        match engine.try_layout(&inputs, samples) {
            Ok(outputs) => return Ok(BatchSafety::Batched(RowLayout { inputs, outputs })),
            // The first candidate is the likeliest, so its failure explains most.
            Err(reason) => _ = first_reason.get_or_insert(reason),
        }
    }
    let reason = first_reason.unwrap_or_else(|| "it has no input".into());
    Ok(BatchSafety::Unbatched { reason })
}

fn why_no_batch_dimension(signature: &Signature) -> Option<String> {
    let is_dynamic = |spec: &TensorSpec| spec.shape.contains(&Dim::Dynamic);
    if signature.inputs.iter().any(is_dynamic) {
        return None;
    }
    let first = signature.inputs.first()?;
    Some(match first.shape.first() {
        Some(Dim::Fixed(1)) => "its batch dimension is fixed at 1".into(),
        _ => format!("no input has a dynamic dimension (input '{}' has none)", first.name),
    })
}

/// An instance, and what is needed to run a request on it.
struct Engine<'a> {
    instance: &'a mut dyn Instance,
    signature: &'a Signature,
    buffers: InputBuffers,
}

impl Engine<'_> {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
        let views = self.buffers.views(inputs);
        let outputs =
            run_caught(self.instance, &views).map_err(|fault| fault.error().to_string())?;
        let (expected, got) = (self.signature.outputs.len(), outputs.len());
        if expected != got {
            return Err(format!("it gave {got} outputs, expected {expected}"));
        }
        Ok(outputs)
    }

    /// The axis of each output's rows, when requests with these input axes may share a batch.
    fn try_layout(
        &mut self,
        inputs: &[InputAxis],
        samples: &[Vec<Tensor>],
    ) -> Result<Vec<usize>, String> {
        let pairs = match Pair::among(samples, inputs) {
            Some(pair) => vec![self.run_alone(pair)?],
            None => self.generate(inputs)?,
        };
        let mut found: Option<Vec<usize>> = None;
        for pair in &pairs {
            let outputs = self.try_pair(inputs, pair)?;
            if found.as_ref().is_some_and(|found| *found != outputs) {
                return Err("the axis of its outputs' rows depends on the values".into());
            }
            found = Some(outputs);
        }
        found.ok_or_else(|| "no sample request ran".into())
    }

    /// Of each kind of values, the first pair that the model accepts. One kind is not enough: a mask
    /// of large numbers hides what a mask of zeros and ones shows, and the other way round.
    fn generate(&mut self, inputs: &[InputAxis]) -> Result<Vec<RunPair>, String> {
        let mut last_error = String::new();
        let mut pairs = Vec::new();
        for attempts in samples::generated(self.signature, inputs) {
            for pair in attempts {
                match self.run_alone(pair) {
                    Ok(pair) => {
                        pairs.push(pair);
                        break;
                    }
                    Err(error) => last_error = error,
                }
            }
        }
        if pairs.is_empty() {
            return Err(format!("no sample request ran: {last_error}; put two into samples/"));
        }
        Ok(pairs)
    }

    fn run_alone(&mut self, pair: Pair) -> Result<RunPair, String> {
        let alone = [self.run(&pair.requests[0])?, self.run(&pair.requests[1])?];
        Ok(RunPair { pair, alone })
    }

    fn try_pair(&mut self, inputs: &[InputAxis], sample: &RunPair) -> Result<Vec<usize>, String> {
        let mut axes = None;
        for order in ORDERS {
            let stacked = sample.pair.stacked(inputs, order);
            let together = self
                .run(&stacked)
                .map_err(|error| format!("it fails when requests are run together: {error}"))?;
            let axes = match &axes {
                Some(axes) => axes,
                None => axes.insert(self.output_axes(sample, &together)?),
            };
            if let Some(found) = sample.compare(&together, axes, order)? {
                return Err(self.explain(sample, found));
            }
        }
        axes.ok_or_else(|| "no order was tried".into())
    }

    fn output_axes(&self, sample: &RunPair, together: &[Tensor]) -> Result<Vec<usize>, String> {
        let [a, b] = &sample.alone;
        let outputs = self.signature.outputs.iter();
        outputs
            .zip(a.iter().zip(b).zip(together))
            .map(|(spec, ((a, b), together))| {
                let shapes = [a.shape(), b.shape(), together.shape()];
                rows_axis(shapes, sample.pair.rows).ok_or_else(|| {
                    format!(
                        "output '{}' does not follow the rows: its shape is {} for {} rows, {} for {}",
                        spec.name,
                        a.shape(),
                        sample.pair.rows[0],
                        together.shape(),
                        sample.pair.rows[0] + sample.pair.rows[1]
                    )
                })
            })
            .collect()
    }

    /// A model that rolls dice differs from itself, too.
    fn explain(&mut self, sample: &RunPair, found: String) -> String {
        for (request, before) in sample.pair.requests.iter().zip(&sample.alone) {
            let Ok(again) = self.run(request) else { continue };
            if again.iter().zip(before).any(|(again, before)| difference(before, again).is_some()) {
                return "the same request gets different answers from run to run".into();
            }
        }
        format!("answers depend on who shares the batch: {found}")
    }
}

/// The axis along which the output of A has A's rows, that of B has B's, and that of both has the
/// sum, all else being equal.
fn rows_axis([a, b, together]: [&Shape; 3], [rows_a, rows_b]: [usize; 2]) -> Option<usize> {
    (0..together.len()).find(|&axis| {
        a.get(axis) == Some(&rows_a)
            && b.get(axis) == Some(&rows_b)
            && together[axis] == rows_a + rows_b
            && a.with_dim(axis, 0) == together.with_dim(axis, 0)
            && b.with_dim(axis, 0) == together.with_dim(axis, 0)
    })
}

/// Two requests that ran, and their answers.
struct RunPair {
    pair: Pair,
    alone: [Vec<Tensor>; 2],
}

impl RunPair {
    /// Says where a request's rows differ from what they were alone.
    fn compare(
        &self,
        together: &[Tensor],
        axes: &[usize],
        order: &[usize],
    ) -> Result<Option<String>, String> {
        let total: usize = order.iter().map(|&which| self.pair.rows[which]).sum();
        for (output, (tensor, &axis)) in together.iter().zip(axes).enumerate() {
            if tensor.shape().get(axis) != Some(&total) {
                let (name, shape) = (tensor.name(), tensor.shape());
                return Err(format!("output '{name}' has shape {shape} for {total} rows"));
            }
            let mut start = 0;
            for &which in order {
                let rows = start..start + self.pair.rows[which];
                start = rows.end;
                let own = slice_rows(tensor, axis, rows);
                if let Some(found) = difference(&self.alone[which][output], &own) {
                    return Ok(Some(format!("output '{}': {found}", tensor.name())));
                }
            }
        }
        Ok(None)
    }
}

impl Pair {
    fn stacked(&self, inputs: &[InputAxis], order: &[usize]) -> Vec<Tensor> {
        let stack = |(input, axis): (usize, &InputAxis)| match *axis {
            InputAxis::Shared => self.requests[0][input].clone(),
            InputAxis::Rows(axis) => {
                let parts = order.iter().map(|&which| self.requests[which][input].clone());
                concat_rows(axis, &parts.collect::<Vec<_>>())
            }
        };
        inputs.iter().enumerate().map(stack).collect()
    }
}
