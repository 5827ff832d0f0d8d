//! A version's numbers under Triton's metric names. Nothing counts here: they are read off the version's
//! statistics at every scrape, so that the two cannot tell different stories.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tidegate_inference::{ErrorKind, Statistics, Total};

use crate::families::{Families, ModelLabels};

#[derive(Debug)]
pub struct Triton {
    success: Counter,
    /// In the order of [`Reason::ALL`].
    failures: [Counter; Reason::ALL.len()],
    count: Counter,
    exec_count: Counter,
    request_us: Counter,
    queue_us: Counter,
    input_us: Counter,
    infer_us: Counter,
    output_us: Counter,
    pending: Gauge,
}

/// Why a request failed, in Triton's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What its scheduler turned away: full, late or not ready.
    Rejected,
    /// The caller hung up.
    Canceled,
    Backend,
    Other,
}

impl Reason {
    pub const ALL: [Self; 4] = [Self::Rejected, Self::Canceled, Self::Backend, Self::Other];

    pub const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Overloaded | ErrorKind::DeadlineExceeded | ErrorKind::Unavailable => {
                Self::Rejected
            }
            ErrorKind::ModelFailed => Self::Backend,
            _ => Self::Other,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "REJECTED",
            Self::Canceled => "CANCELED",
            Self::Backend => "BACKEND",
            Self::Other => "OTHER",
        }
    }
}

impl Triton {
    pub fn new(families: &Families, labels: &ModelLabels) -> Self {
        Self {
            success: families.nv_success.get_or_create_owned(labels),
            failures: Reason::ALL.map(|reason| {
                let word = [("reason", reason.as_str())];
                families.nv_failure.get_or_create_owned(&(labels.clone(), word))
            }),
            count: families.nv_count.get_or_create_owned(labels),
            exec_count: families.nv_exec_count.get_or_create_owned(labels),
            request_us: families.nv_request_us.get_or_create_owned(labels),
            queue_us: families.nv_queue_us.get_or_create_owned(labels),
            input_us: families.nv_input_us.get_or_create_owned(labels),
            infer_us: families.nv_infer_us.get_or_create_owned(labels),
            output_us: families.nv_output_us.get_or_create_owned(labels),
            pending: families.nv_pending.get_or_create_owned(labels),
        }
    }

    /// `failures` in the order of [`Reason::ALL`].
    pub fn show(
        &self,
        statistics: &Statistics,
        failures: [u64; Reason::ALL.len()],
        waiting: usize,
    ) {
        for (counter, failures) in self.failures.iter().zip(failures) {
            raise(counter, failures);
        }
        raise(&self.success, statistics.success.count);
        raise(&self.count, statistics.inference_count);
        raise(&self.exec_count, statistics.execution_count);
        let micros = |counter: &Counter, total: Total| raise(counter, total.ns / 1000);
        micros(&self.request_us, statistics.success);
        micros(&self.queue_us, statistics.queue);
        micros(&self.input_us, statistics.compute_input);
        micros(&self.infer_us, statistics.compute_infer);
        micros(&self.output_us, statistics.compute_output);
        self.pending.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}

/// Two scrapes may come at the same time, and the one that looked first may write last: a counter never falls.
pub fn raise(counter: &Counter, value: u64) {
    counter.inner().fetch_max(value, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_index_their_own_counters() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }

    #[test]
    fn a_counter_never_falls() {
        let counter = Counter::default();
        raise(&counter, 3);
        raise(&counter, 2);
        assert_eq!(counter.get(), 3);
    }
}
