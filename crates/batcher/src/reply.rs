//! The way back: every request that enters the queue holds a [`Reply`], its caller the [`Answer`].
//!
//! A reply that is dropped without an answer sends an error, and an answer that is dropped tells
//! the batcher that its caller is gone, so neither side can be left waiting or worked for in vain.
//! A request larger than the cap enters as several parts that share one answer; one that was too large for
//! memory becomes two parts, which may be parts of parts.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_channel::oneshot;
use tidegate_inference::{BatchFacts, Error, ErrorKind, Result, Stage, Tensor, Timeline};

use crate::Batching;
use crate::rows::{concat_rows, slice_rows};

/// When the batch of a request passed its stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTimes {
    /// The batch was formed.
    pub dispatched: Instant,
    /// Its inputs were gathered.
    pub gathered: Instant,
    /// The model had run.
    pub executed: Instant,
    /// Its outputs were cut into rows.
    pub scattered: Instant,
}

impl RunTimes {
    /// Stamps these instants onto a request's timeline.
    pub fn stamp(&self, timeline: &mut Timeline) {
        timeline.stamp(Stage::Dispatched, self.dispatched);
        timeline.stamp(Stage::Gathered, self.gathered);
        timeline.stamp(Stage::Executed, self.executed);
        timeline.stamp(Stage::Scattered, self.scattered);
    }
}

/// A request's own rows of every output, and what is known of its run.
#[derive(Clone, Debug)]
pub struct Answered {
    outputs: Arc<Outputs>,
    rows: Range<usize>,
    /// Of a request that ran in several batches: from the first dispatch to the last scatter.
    pub times: RunTimes,
    /// Of a request that ran in several batches: the one with its first rows.
    pub batch: BatchFacts,
}

/// All outputs of a batch, shared by its members.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// In the order of the signature.
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) batching: Arc<Batching>,
}

impl Answered {
    pub(crate) fn new(
        outputs: Arc<Outputs>,
        rows: Range<usize>,
        times: RunTimes,
        batch: BatchFacts,
    ) -> Self {
        Self { outputs, rows, times, batch }
    }

    /// The request's rows of every output, in the order of the signature. Rows on axis 0 are windows into
    /// the batch's outputs, rows on another axis are copied: do this where time is cheapest.
    pub fn outputs(&self) -> Vec<Tensor> {
        let Outputs { tensors, batching } = &*self.outputs;
        let Batching::Rows { layout, .. } = &**batching else { return tensors.clone() };
        let whole = |tensor: &Tensor, axis: usize| tensor.shape()[axis] == self.rows.len();
        let cut = tensors.iter().zip(&layout.outputs).map(|(tensor, &axis)| {
            if whole(tensor, axis) {
                tensor.clone()
            } else {
                slice_rows(tensor, axis, self.rows.clone())
            }
        });
        cut.collect()
    }
}

/// What the caller waits for. Dropping it says that nobody waits any more.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<Answered>>);

impl Future for Answer {
    type Output = Result<Answered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|received| {
            received
                .unwrap_or_else(|_| Err(Error::internal("the request lost its place in the queue")))
        })
    }
}

/// The promise to answer one request, or one part of it.
pub(crate) struct Reply(Option<To>);

enum To {
    Caller(oneshot::Sender<Result<Answered>>),
    Part { of: Arc<Mutex<Assembly>>, index: usize },
}

/// A request that is being answered in parts, or a part that is.
struct Assembly {
    to: Option<To>,
    parts: Vec<Option<Answered>>,
    missing: usize,
    /// Along which axis the parts of each output are joined.
    output_axes: Vec<usize>,
}

impl Reply {
    pub(crate) fn whole() -> (Self, Answer) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(To::Caller(sender))), Answer(receiver))
    }

    pub(crate) fn parts(count: usize, output_axes: Vec<usize>) -> (Vec<Self>, Answer) {
        let (sender, receiver) = oneshot::channel();
        (To::Caller(sender).parts(count, output_axes), Answer(receiver))
    }

    /// The same promise in two parts.
    pub(crate) fn split(mut self, output_axes: Vec<usize>) -> [Self; 2] {
        let mut parts = self.0.take().map(|to| to.parts(2, output_axes)).into_iter().flatten();
        [(); 2].map(|()| parts.next().unwrap_or(Self(None)))
    }

    /// Whether nobody waits any more: the caller hung up, or another part of the request failed.
    pub(crate) fn is_caller_gone(&self) -> bool {
        self.0.as_ref().is_none_or(To::is_caller_gone)
    }

    /// The promise itself; what stays behind answers nobody.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    pub(crate) fn send(mut self, result: Result<Answered>) {
        if let Some(to) = self.0.take() {
            to.send(result);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(to) = self.0.take() {
            to.send(Err(Error::internal("the batch was dropped before it was answered")));
        }
    }
}

impl To {
    fn parts(self, count: usize, output_axes: Vec<usize>) -> Vec<Reply> {
        let assembly = Arc::new(Mutex::new(Assembly {
            to: Some(self),
            parts: vec![None; count],
            missing: count,
            output_axes,
        }));
        (0..count)
            .map(|index| Reply(Some(Self::Part { of: Arc::clone(&assembly), index })))
            .collect()
    }

    fn is_caller_gone(&self) -> bool {
        match self {
            Self::Caller(sender) => sender.is_canceled(),
            // Locks are taken from the inside out only: an assembly knows its own, never its parts.
            Self::Part { of, .. } => lock(of).to.as_ref().is_none_or(Self::is_caller_gone),
        }
    }

    fn send(self, result: Result<Answered>) {
        match self {
            // A caller that went away in the meantime does not mind.
            Self::Caller(sender) => drop(sender.send(result)),
            Self::Part { of, index } => lock(&of).settle(index, result),
        }
    }
}

impl Assembly {
    fn settle(&mut self, index: usize, result: Result<Answered>) {
        let whole = match result {
            Err(error) => Err(error),
            Ok(part) => {
                self.parts[index] = Some(part);
                self.missing -= 1;
                if self.missing > 0 {
                    return;
                }
                self.join()
            }
        };
        if let Some(to) = self.to.take() {
            to.send(whole);
        }
    }

    fn join(&mut self) -> Result<Answered> {
        let parts: Vec<Answered> = self.parts.drain(..).flatten().collect();
        let pieces: Vec<Vec<Tensor>> = parts.iter().map(Answered::outputs).collect();
        let joined = self.output_axes.iter().enumerate().map(|(output, &axis)| {
            let pieces: Vec<Tensor> = pieces.iter().map(|part| part[output].clone()).collect();
            join_pieces(axis, &pieces)
        });
        let tensors = joined.collect::<Result<_>>()?;
        let first = &parts[0];
        let times = parts.iter().skip(1).fold(first.times, |all, part| RunTimes {
            dispatched: all.dispatched.min(part.times.dispatched),
            gathered: all.gathered.max(part.times.gathered),
            executed: all.executed.max(part.times.executed),
            scattered: all.scattered.max(part.times.scattered),
        });
        let rows = 0..parts.iter().map(|part| part.rows.len()).sum();
        let outputs = Outputs { tensors, batching: Arc::clone(&first.outputs.batching) };
        Ok(Answered::new(Arc::new(outputs), rows, times, first.batch))
    }
}

/// An output whose other dimensions depend on the data may come out differently in two batches.
fn join_pieces(axis: usize, pieces: &[Tensor]) -> Result<Tensor> {
    let first = pieces[0].shape();
    let odd = pieces.iter().find(|piece| piece.shape().with_dim(axis, first[axis]) != *first);
    match odd {
        None => Ok(concat_rows(axis, pieces)),
        Some(odd) => Err(Error::new(
            ErrorKind::ModelFailed,
            format!(
                "output '{}' came out with shapes {first} and {} for parts of one request: it cannot be joined",
                odd.name(),
                odd.shape()
            ),
        )),
    }
}

fn lock(assembly: &Mutex<Assembly>) -> MutexGuard<'_, Assembly> {
    assembly.lock().unwrap_or_else(PoisonError::into_inner)
}
