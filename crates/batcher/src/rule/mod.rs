//! The question that every rule answers: does this bucket go now, how large, or until when does it wait?
//!
//! A rule is a plain function of what it is shown and of what it has seen before. It takes nothing
//! out of the queue and reads no clock, so the simulator can run any of them in made-up time.

mod adaptive;
mod fixed;

use std::time::{Duration, Instant};

use tidegate_inference::CloseReason;

pub use adaptive::Adaptive;
pub use fixed::Fixed;

use crate::{BatchPolicy, Curve, policy};

/// What a rule sees of a bucket while an instance is free for it.
#[derive(Debug)]
pub struct Situation<'a> {
    pub now: Instant,
    /// Rows that wait in this bucket, at least one.
    pub rows: usize,
    /// When the request that waits longest came.
    pub oldest: Instant,
    /// The first instant by which one of them should be answered.
    pub target: Instant,
    /// Rows that wait anywhere or run.
    pub in_system: usize,
    /// Instances that run nothing, the one that asks included.
    pub idle_instances: usize,
    /// No batch may have more rows; the cap, or what memory and knee leave of it.
    pub limit: usize,
    /// What runs of this bucket cost.
    pub curve: &'a Curve,
    /// The queue is closing: nobody else will come.
    pub closing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// With at most so many rows.
    Go { rows: usize, why: CloseReason },
    /// Until then, or until so many more rows have come.
    Wait { until: Instant, rows: usize },
}

/// A run that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub rows: usize,
    pub execution: Duration,
    pub at: Instant,
}

pub trait Rule: Send {
    fn decide(&mut self, situation: &Situation<'_>) -> Decision;

    /// `rows` rows came at that instant.
    fn arrived(&mut self, _rows: usize, _at: Instant) {}

    /// A run ended, and its callers have their answers.
    fn ended(&mut self, _run: Ended) {}

    /// Whether batches stop at the knee and in time for their members' targets.
    fn is_sized_by_cost(&self) -> bool {
        false
    }
}

/// Every request alone, as soon as an instance is free.
pub(crate) struct OneByOne;

impl Rule for OneByOne {
    fn decide(&mut self, _: &Situation<'_>) -> Decision {
        Decision::Go { rows: 1, why: CloseReason::Unbatched }
    }
}

pub(crate) fn of(policy: &BatchPolicy) -> Box<dyn Rule> {
    match policy.waiting() {
        policy::Waiting::Adaptive => Box::new(Adaptive::default()),
        policy::Waiting::Fixed { batch_size, max_queue_delay } => {
            Box::new(Fixed { batch_size: batch_size.get(), max_queue_delay })
        }
    }
}
