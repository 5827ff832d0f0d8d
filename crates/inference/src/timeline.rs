//! The stamped instants of one request's life, and what is known of the batch it ran in. Whoever
//! finishes a stage stamps it; durations are read from here and never measured a second time.

use std::time::{Duration, Instant};

/// A named point in the life of a request, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The request's head was read.
    Received,
    /// Its body was read and decoded.
    Decoded,
    /// It joined its version's queue.
    Enqueued,
    /// A batch that holds it was formed.
    Dispatched,
    /// The batch's inputs were gathered.
    Gathered,
    /// The model had run.
    Executed,
    /// Its rows were cut out of the batch and handed over.
    Scattered,
    /// Its answer was encoded.
    Encoded,
}

/// Why a batch was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// It reached `batch_size`, or the size past which more rows gain nothing.
    Target,
    /// The next request would have gone past `max_batch_size`.
    Cap,
    /// Its requests had waited as long as company was worth, or `max_queue_delay`.
    Delay,
    /// A worker was free, and nobody was worth waiting for.
    Eager,
    /// A larger batch would have been late for one of its members.
    Deadline,
    /// A request that made the model fail before runs alone.
    Apart,
    /// The queue is closing: nobody else will come.
    Drain,
    /// The model takes one request at a time.
    Unbatched,
}

impl CloseReason {
    pub const ALL: [Self; 8] = [
        Self::Target,
        Self::Cap,
        Self::Delay,
        Self::Eager,
        Self::Deadline,
        Self::Apart,
        Self::Drain,
        Self::Unbatched,
    ];

    /// A stable word for headers, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Cap => "cap",
            Self::Delay => "delay",
            Self::Eager => "eager",
            Self::Deadline => "deadline",
            Self::Apart => "apart",
            Self::Drain => "drain",
            Self::Unbatched => "unbatched",
        }
    }
}

/// What a request may know of the batch it ran in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchFacts {
    /// Rows of all requests together.
    pub rows: usize,
    pub requests: usize,
    pub closed_by: CloseReason,
}

/// A stage that was not reached.
const NEVER: u64 = u64::MAX;

#[derive(Clone, Debug)]
pub struct Timeline {
    received: Instant,
    /// Nanoseconds since then, or [`NEVER`]. Subtracted once, when a stage is stamped: headers, metrics
    /// and logs ask for a dozen differences between them.
    stamps: [u64; 8],
    batch: Option<BatchFacts>,
}

impl Timeline {
    pub fn starting(received: Instant) -> Self {
        let mut timeline = Self { received, stamps: [NEVER; 8], batch: None };
        timeline.stamp(Stage::Received, received);
        timeline
    }

    pub fn stamp(&mut self, stage: Stage, at: Instant) {
        let since = at.saturating_duration_since(self.received).as_nanos();
        self.stamps[stage as usize] = u64::try_from(since).unwrap_or(NEVER);
    }

    pub fn at(&self, stage: Stage) -> Option<Instant> {
        self.since_received(stage).map(|nanos| self.received + Duration::from_nanos(nanos))
    }

    pub fn received(&self) -> Instant {
        self.received
    }

    fn since_received(&self, stage: Stage) -> Option<u64> {
        Some(self.stamps[stage as usize]).filter(|nanos| *nanos != NEVER)
    }

    /// The first of these, in this order, that was reached.
    pub fn first_reached<const N: usize>(&self, stages: [Stage; N]) -> Option<Stage> {
        stages.into_iter().find(|stage| self.since_received(*stage).is_some())
    }

    /// Time from one stage to another; `None` when either was never reached.
    pub fn between(&self, from: Stage, to: Stage) -> Option<Duration> {
        let (from, to) = (self.since_received(from)?, self.since_received(to)?);
        Some(Duration::from_nanos(to.saturating_sub(from)))
    }

    /// Time in the queue.
    pub fn queue_delay(&self) -> Option<Duration> {
        self.between(Stage::Enqueued, Stage::Dispatched)
    }

    pub fn set_batch(&mut self, batch: BatchFacts) {
        self.batch = Some(batch);
    }

    pub fn batch(&self) -> Option<BatchFacts> {
        self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_exist_only_between_stages_that_were_reached() {
        let start = Instant::now();
        let mut timeline = Timeline::starting(start);
        assert_eq!(timeline.queue_delay(), None);
        timeline.stamp(Stage::Enqueued, start + Duration::from_millis(1));
        timeline.stamp(Stage::Dispatched, start + Duration::from_millis(4));
        assert_eq!(timeline.queue_delay(), Some(Duration::from_millis(3)));
        assert_eq!(timeline.at(Stage::Encoded), None);
        let either = [Stage::Encoded, Stage::Dispatched, Stage::Enqueued];
        assert_eq!(timeline.first_reached(either), Some(Stage::Dispatched));
    }
}
