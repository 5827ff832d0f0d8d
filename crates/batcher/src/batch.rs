//! A formed batch: its members, gathered before the run and scattered after it.

use std::time::Instant;

use tidegate_inference::{
    BatchFacts, CloseReason, Deadline, Error, ErrorKind, Result, Shape, Tensor,
};

use crate::buffers::GatherPlan;
use crate::reply::Reply;
use crate::rows::slice_rows;
use crate::{Answered, Batching, InputAxis, InputBuffers, RowLayout, RunTimes, TensorView};

/// A request in the queue, or a part of one that was larger than the cap.
pub(crate) struct Member {
    /// In the order of the signature.
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) rows: usize,
    /// Equal for members that may share a batch; see [`RowLayout::bucket`].
    pub(crate) bucket: u64,
    pub(crate) enqueued: Instant,
    pub(crate) deadline: Deadline,
    pub(crate) reply: Reply,
}

/// Requests that are executed together. Dropping it answers each of them with an error.
pub struct Batch {
    members: Vec<Member>,
    facts: BatchFacts,
    batching: std::sync::Arc<Batching>,
}

impl Batch {
    pub(crate) fn new(
        members: Vec<Member>,
        closed_by: CloseReason,
        batching: std::sync::Arc<Batching>,
    ) -> Self {
        let rows = members.iter().map(|member| member.rows).sum();
        let facts = BatchFacts { rows, requests: members.len(), closed_by };
        Self { members, facts, batching }
    }

    pub fn facts(&self) -> BatchFacts {
        self.facts
    }

    pub fn rows(&self) -> usize {
        self.facts.rows
    }

    pub fn requests(&self) -> usize {
        self.facts.requests
    }

    pub fn closed_by(&self) -> CloseReason {
        self.facts.closed_by
    }

    /// Joins the members' rows into one tensor for each input, in the order of the signature.
    pub fn gather<'a>(&'a self, buffers: &'a mut InputBuffers) -> Vec<TensorView<'a>> {
        let layout = match &*self.batching {
            Batching::Rows { layout, .. } if self.members.len() > 1 => layout,
            _ => return buffers.views(&self.members[0].inputs),
        };
        buffers.gather(layout.inputs.iter().enumerate().map(|(input, axis)| {
            let (axis, of) = match *axis {
                InputAxis::Rows(axis) => (axis, &self.members[..]),
                // All members agree on it.
                InputAxis::Shared => (0, &self.members[..1]),
            };
            GatherPlan { axis, of: of.iter().map(move |member| &member.inputs[input]) }
        }))
    }

    /// Gives each member its own rows of the outputs, which stand in the order of the signature.
    /// Outputs that do not hold the batch's rows are an error for everyone: no answer is guessed.
    pub fn scatter(self, outputs: Vec<Tensor>, times: RunTimes) {
        let facts = self.facts;
        let answered = |outputs| Answered { outputs, times, batch: facts };
        let layout = match &*self.batching {
            Batching::Rows { layout, .. } => layout,
            Batching::Unbatched => {
                for member in self.members {
                    member.reply.send(Ok(answered(outputs.clone())));
                }
                return;
            }
        };
        if let Err(error) = check_rows(layout, &outputs, facts.rows) {
            return self.fail(&error);
        }
        let mut start = 0;
        for member in self.members {
            let range = start..start + member.rows;
            start = range.end;
            let rows = outputs.iter().zip(&layout.outputs);
            let own = rows.map(|(output, &axis)| slice_rows(output, axis, range.clone())).collect();
            member.reply.send(Ok(answered(own)));
        }
    }

    /// Answers every member with the error.
    pub fn fail(self, error: &Error) {
        for member in self.members {
            member.reply.send(Err(error.clone()));
        }
    }
}

fn check_rows(layout: &RowLayout, outputs: &[Tensor], rows: usize) -> Result<()> {
    let failed = |message| Err(Error::new(ErrorKind::ModelFailed, message));
    if outputs.len() != layout.outputs.len() {
        let (expected, got) = (layout.outputs.len(), outputs.len());
        return failed(format!("the model gave {got} outputs, expected {expected}"));
    }
    for (output, &axis) in outputs.iter().zip(&layout.outputs) {
        if output.shape().get(axis) != Some(&rows) {
            let (name, shape): (_, &Shape) = (output.name(), output.shape());
            return failed(format!(
                "output '{name}' has shape {shape}, expected {rows} rows on axis {axis}"
            ));
        }
    }
    Ok(())
}
