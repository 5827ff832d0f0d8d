//! A formed batch: its members, gathered before the run and scattered after it, or taken apart when it
//! has failed.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use tidegate_inference::{BatchFacts, CloseReason, Error, ErrorKind, Result, Shape, Tensor};

use crate::buffers::GatherPlan;
use crate::quarantine::Fingerprint;
use crate::reply::{Answered, Outputs, Reply};
use crate::{Batching, InputAxis, InputBuffers, RowLayout, RunTimes, TensorView, Terms};

/// A request in the queue, or a part of one that was larger than the cap.
pub(crate) struct Member {
    /// In the order of the signature.
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) rows: usize,
    /// Equal for members that may share a batch; see [`Batching::bucket`].
    pub(crate) bucket: u64,
    pub(crate) enqueued: Instant,
    pub(crate) terms: Terms,
    /// It made the model fail before and runs with nobody beside it.
    pub(crate) is_apart: bool,
    pub(crate) reply: Reply,
}

/// What a batch is known by when its run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) number: u64,
    pub(crate) key: u64,
    pub(crate) rows: usize,
    pub(crate) dispatched: Instant,
}

impl Member {
    /// Its first rows and the others, which share one answer.
    fn split(self, layout: &RowLayout, at: usize) -> [Self; 2] {
        let Self { inputs, rows, bucket, enqueued, terms, is_apart, reply } = self;
        let part = |range: Range<usize>, reply| {
            let (rows, inputs) = (range.len(), layout.rows_of(&inputs, range));
            Self { inputs, rows, bucket, enqueued, terms, is_apart, reply }
        };
        let [first, second] = reply.split(layout.outputs.clone());
        [part(0..at, first), part(at..rows, second)]
    }
}

impl Ticket {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn dispatched(&self) -> Instant {
        self.dispatched
    }
}

/// Requests that are executed together. Dropping it answers each of them with an error.
///
/// What its callers were promised can be taken out and put back: whoever watches over a run that may not
/// return holds it meanwhile.
pub struct Batch {
    members: Vec<Member>,
    facts: BatchFacts,
    ticket: Ticket,
    batching: Arc<Batching>,
}

/// The promises to answer the members of a batch, in their order. Dropping them answers each with an error.
#[derive(Debug)]
pub struct Promises(Vec<Reply>);

impl Promises {
    /// Answers every caller with the error.
    pub fn fail(self, error: &Error) {
        for reply in self.0 {
            reply.send(Err(error.clone()));
        }
    }
}

impl Batch {
    pub(crate) fn new(
        members: Vec<Member>,
        closed_by: CloseReason,
        ticket: Ticket,
        batching: Arc<Batching>,
    ) -> Self {
        let facts = BatchFacts { rows: 0, requests: 0, closed_by };
        Self { members, facts, ticket, batching }.counted()
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

    /// For [`crate::Batcher::finished`]. Parts of a batch have the ticket of the whole.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// The first instant at which one of the members is no longer waited for.
    pub fn first_deadline(&self) -> Option<Instant> {
        self.members.iter().map(|member| member.terms.deadline.instant()).min()
    }

    /// Takes out what the callers were promised. Until it is [put back](Self::keep) the batch can be
    /// gathered and looked at, but answers nobody.
    pub fn promises(&mut self) -> Promises {
        Promises(self.members.iter_mut().map(|member| member.reply.take()).collect())
    }

    /// Puts back what [`Batch::promises`] took out of this very batch.
    pub fn keep(&mut self, promises: Promises) {
        for (member, reply) in self.members.iter_mut().zip(promises.0) {
            member.reply = reply;
        }
    }

    /// Of each member, in order.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.members.iter().map(|member| Fingerprint::of(&member.inputs)).collect()
    }

    /// Answers the members whose deadline has passed and forgets those whose caller is gone. Says how many
    /// are left.
    pub fn drop_stale(&mut self, now: Instant) -> usize {
        let is_stale =
            |member: &Member| member.terms.deadline.is_past(now) || member.reply.is_caller_gone();
        let (stale, rest): (Vec<Member>, _) =
            std::mem::take(&mut self.members).into_iter().partition(is_stale);
        self.members = rest;
        self.count();
        let late = Error::new(
            ErrorKind::DeadlineExceeded,
            "Request timeout expired: its deadline passed while its batch was run again in parts",
        );
        for member in stale {
            member.reply.send(Err(late.clone()));
        }
        self.members.len()
    }

    /// Whether there are two halves: of the members, or of the rows of one.
    pub fn is_divisible(&self) -> bool {
        let is_cut = matches!(&*self.batching, Batching::Rows { .. });
        self.members.len() > 1 || is_cut && self.facts.rows > 1
    }

    /// Two parts with half of the members each, or half of the rows if there is only one; of an odd number the first has
    /// one more. The second part of what is [not divisible](Self::is_divisible) is empty.
    pub fn halves(mut self) -> (Self, Self) {
        let rest = match &*self.batching {
            Batching::Rows { layout, .. } if self.members.len() == 1 && self.is_divisible() => {
                let member = self.members.remove(0);
                let middle = member.rows.div_ceil(2);
                let [first, second] = member.split(layout, middle);
                self.members.push(first);
                vec![second]
            }
            _ => self.members.split_off(self.members.len().div_ceil(2)),
        };
        let (facts, ticket) = (self.facts, self.ticket);
        let second = Self { members: rest, facts, ticket, batching: Arc::clone(&self.batching) };
        (self.counted(), second.counted())
    }

    fn counted(mut self) -> Self {
        self.count();
        self
    }

    fn count(&mut self) {
        self.facts.rows = self.members.iter().map(|member| member.rows).sum();
        self.facts.requests = self.members.len();
    }

    /// Joins the members' rows into one tensor for each input, in the order of the signature.
    ///
    /// # Errors
    /// When there is no memory for them.
    ///
    /// # Panics
    /// When no member is left.
    pub fn gather<'a>(&'a self, buffers: &'a mut InputBuffers) -> Result<Vec<TensorView<'a>>> {
        let layout = match &*self.batching {
            Batching::Rows { layout, .. } if self.members.len() > 1 => layout,
            _ => return buffers.try_views(&self.members[0].inputs),
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

    /// Gives each member its share of the outputs, which stand in the order of the signature. The rows are
    /// cut out by whoever reads the answer, so the instance is free for the next batch sooner.
    /// Outputs that do not hold the batch's rows are an error for everyone: no answer is guessed.
    pub fn scatter(self, outputs: Vec<Tensor>, times: RunTimes) {
        let facts = self.facts;
        let layout = match &*self.batching {
            Batching::Rows { layout, .. } => Some(layout),
            Batching::Unbatched => None,
        };
        if let Some(Err(error)) = layout.map(|layout| check_rows(layout, &outputs, facts.rows)) {
            return self.fail(&error);
        }
        let outputs = Arc::new(Outputs { tensors: outputs, batching: Arc::clone(&self.batching) });
        let mut start = 0;
        for member in self.members {
            let rows = start..start + member.rows;
            start = rows.end;
            member.reply.send(Ok(Answered::new(Arc::clone(&outputs), rows, times, facts)));
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
