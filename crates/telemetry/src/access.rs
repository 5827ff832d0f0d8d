//! One line for a request that ended: who, what, how it went and how long it took. Never a payload.
//!
//! Server errors are always written; of the others a fixed share, evenly spread rather than drawn by
//! chance: with a hundredth, exactly every hundredth request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_inference::{CloseReason, Stage, Timeline, Version};

/// Which share of the requests gets a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessSampling(f64);

impl AccessSampling {
    pub const ALL: Self = Self(1.0);
    pub const ERRORS_ONLY: Self = Self(0.0);

    /// A share from 0 to 1; `None` for any other number.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }
}

#[derive(Clone, Debug)]
pub struct AccessLog {
    /// The share in units of 2^-64.
    step: u64,
    /// Grows by `step` with each request; the request that makes it wrap gets the line.
    position: Arc<AtomicU64>,
}

/// A request that ended.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    pub request_id: &'a str,
    /// The wire contract it came by: `v2`, `tfs`, `predict`.
    pub protocol: &'static str,
    /// The name of the API key that was shown, where one was needed and known.
    pub key: Option<&'a str>,
    pub model: Option<&'a str>,
    /// Known once it was routed.
    pub version: Option<Version>,
    /// `response`, `caller_gone`, or the kind of error.
    pub outcome: &'a str,
    pub status: u16,
    pub latency: Duration,
    pub timeline: Option<&'a Timeline>,
    pub request_bytes: usize,
    pub response_bytes: usize,
}

impl AccessLog {
    pub fn new(sampling: AccessSampling) -> Self {
        // The cast saturates: 1.0 becomes the largest step. Starting in the middle keeps the rounding
        // of the share away from the point where it would take one request too many or too few.
        let step = (sampling.0 * 2f64.powi(64)) as u64;
        Self { step, position: Arc::new(AtomicU64::new(1 << 63)) }
    }

    pub fn record(&self, record: &AccessRecord<'_>) {
        // Asked for every request, also for errors, so that errors do not shift the others' turns.
        let sampled = self.takes_next();
        if sampled || record.status >= 500 {
            write(record);
        }
    }

    fn takes_next(&self) -> bool {
        let before = self.position.fetch_add(self.step, Ordering::Relaxed);
        before.checked_add(self.step).is_none()
    }
}

fn write(record: &AccessRecord<'_>) {
    let between = |from, to| record.timeline.and_then(|timeline| timeline.between(from, to));
    let batch = record.timeline.and_then(Timeline::batch);
    tracing::info!(
        target: "tidegate::access",
        request_id = record.request_id,
        protocol = record.protocol,
        key = record.key,
        model = record.model,
        version = record.version.map(Version::get),
        outcome = record.outcome,
        status = record.status,
        latency_ms = millis(record.latency),
        queue_ms = between(Stage::Enqueued, Stage::Dispatched).map(millis),
        execute_ms = between(Stage::Gathered, Stage::Executed).map(millis),
        batch_rows = batch.map(|batch| batch.rows),
        batch_requests = batch.map(|batch| batch.requests),
        batch_closed_by = batch.map(|batch| CloseReason::as_str(batch.closed_by)),
        request_bytes = record.request_bytes,
        response_bytes = record.response_bytes,
        "request"
    );
}

/// To the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(share: f64, requests: usize) -> Vec<usize> {
        let log = AccessLog::new(AccessSampling::new(share).unwrap());
        (0..requests).filter(|_| log.takes_next()).collect()
    }

    #[test]
    fn the_share_is_kept_exactly_and_evenly() {
        assert_eq!(taken(0.25, 12), [1, 5, 9]);
        assert_eq!(taken(1.0, 3), [0, 1, 2]);
        assert_eq!(taken(0.0, 100), [0usize; 0]);
        assert_eq!(taken(0.01, 1000).len(), 10);
    }

    #[test]
    fn a_share_lies_between_none_and_all() {
        assert_eq!(AccessSampling::new(0.0), Some(AccessSampling::ERRORS_ONLY));
        assert_eq!(AccessSampling::new(1.0), Some(AccessSampling::ALL));
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(AccessSampling::new(bad), None);
        }
    }
}
