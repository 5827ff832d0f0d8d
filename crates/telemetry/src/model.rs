//! What is counted for one version of one model: a bundle of handles, taken once.
//!
//! What a request calls is a few relaxed additions: no look-up, no lock, no allocation. For every request that was
//! accepted, exactly one of `responded`, `errored` and `caller_gone` is to be called.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tidegate_inference::{
    BatchFacts, CloseReason, Entrypoint, ErrorKind, ModelName, Stage, Statistics, Timeline, Version,
};

use crate::families::{Families, ModelLabels, SecondsGauge};
use crate::faults::FaultMetrics;
use crate::histogram::Histogram;
use crate::shed::Shed;
use crate::tensorflow::TensorFlow;
use crate::totals::{Counted, Totals};
use crate::triton::{Reason, Triton, raise};

pub struct ModelMetrics {
    accepted: Counter,
    responses: Counter,
    callers_gone: Counter,
    /// In the order of [`ErrorKind::ALL`].
    errors: [Counter; ErrorKind::ALL.len()],
    /// In the order of [`Shed::ALL`].
    shed: [Counter; Shed::ALL.len()],
    in_flight: Gauge,
    queue_depth: Gauge,
    full_batch_rows: Gauge,
    full_batch_seconds: SecondsGauge,
    single_row_seconds: SecondsGauge,
    queue: Mutex<Option<Look>>,
    /// Told by scrapes, from `request_rows`.
    rows: Counter,
    request_duration: Histogram,
    queue_delay: Histogram,
    gather_duration: Histogram,
    execution_duration: Histogram,
    scatter_duration: Histogram,
    batch_rows: Histogram,
    batch_requests: Histogram,
    /// In the order of [`CloseReason::ALL`].
    batches: [Counter; CloseReason::ALL.len()],
    faults: FaultMetrics,
    totals: Totals,
    triton: Triton,
    /// Told by scrapes, from `request_duration`.
    first_response: Histogram,
    tensorflow: TensorFlow,
    /// `queue_delay` with TensorFlow Serving's bounds.
    queuing_latency: Histogram,
    request_rows: Histogram,
}

type Look = Box<dyn Fn() -> QueueView + Send + Sync>;

/// What a scrape sees of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueView {
    /// Requests that wait.
    pub waiting: usize,
    /// Rows of a full batch, as learned; 0 while nothing is known.
    pub full_batch_rows: usize,
    /// What a full batch was learned to take, and a single row.
    pub full_batch: Duration,
    pub single_row: Duration,
}

impl ModelMetrics {
    /// Counts, and shows nobody: for tests and for whoever has no telemetry.
    pub fn unregistered() -> Self {
        let model = ModelName::new("unregistered").expect("a valid name");
        let version = Version::new(1).expect("a valid version");
        Self::new(&Families::default(), &ModelLabels::new(&model, version))
    }

    pub(crate) fn new(families: &Families, labels: &ModelLabels) -> Self {
        let request_rows = Histogram::of_counts();
        families.tf_input_batch_size.join(&request_rows);
        let batch_rows = families.batch_rows.get_or_create_owned(labels);
        families.tf_processed_batch_size.join(&batch_rows);
        let outcome = |word| families.requests.get_or_create_owned(&(labels.clone(), word));
        Self {
            accepted: families.accepted.get_or_create_owned(labels),
            responses: outcome([("outcome", "response")]),
            callers_gone: outcome([("outcome", "caller_gone")]),
            errors: ErrorKind::ALL.map(|kind| outcome([("outcome", kind.as_str())])),
            shed: Shed::ALL.map(|why| {
                families.shed.get_or_create_owned(&(labels.clone(), [("reason", why.as_str())]))
            }),
            in_flight: families.in_flight.get_or_create_owned(labels),
            queue_depth: families.queue_depth.get_or_create_owned(labels),
            full_batch_rows: families.full_batch_rows.get_or_create_owned(labels),
            full_batch_seconds: families.full_batch_seconds.get_or_create_owned(labels),
            single_row_seconds: families.single_row_seconds.get_or_create_owned(labels),
            queue: Mutex::default(),
            rows: families.rows.get_or_create_owned(labels),
            request_duration: families.request_duration.get_or_create_owned(labels),
            queue_delay: families.queue_delay.get_or_create_owned(labels),
            gather_duration: families.gather_duration.get_or_create_owned(labels),
            execution_duration: families.execution_duration.get_or_create_owned(labels),
            scatter_duration: families.scatter_duration.get_or_create_owned(labels),
            batch_rows,
            batch_requests: families.batch_requests.get_or_create_owned(labels),
            batches: CloseReason::ALL.map(|reason| {
                let word = [("closed_by", reason.as_str())];
                families.batches.get_or_create_owned(&(labels.clone(), word))
            }),
            faults: FaultMetrics::new(families, labels),
            totals: Totals::default(),
            triton: Triton::new(families, labels),
            first_response: families.nv_first_response_ms.get_or_create_owned(labels),
            tensorflow: TensorFlow::new(families, labels.model()),
            queuing_latency: families
                .tf_queuing_latency
                .get_or_create_owned(&[("thread_pool_name", labels.thread_pool())]),
            request_rows,
        }
    }

    /// What is counted when execution goes wrong.
    pub fn faults(&self) -> &FaultMetrics {
        &self.faults
    }

    /// A request was admitted.
    pub fn accepted(&self) {
        self.accepted.inc();
        self.in_flight.inc();
    }

    /// A request ended in a response, of which `timeline` tells and which held `rows` rows.
    pub fn responded(&self, timeline: &Timeline, rows: usize) {
        self.in_flight.dec();
        self.responses.inc();
        self.request_rows.observe_count(rows);
        let end = timeline.first_reached([Stage::Encoded, Stage::Scattered]);
        if let Some(total) = end.and_then(|end| timeline.between(Stage::Received, end)) {
            self.request_duration.observe_duration(total);
        }
        if let Some(delay) = timeline.queue_delay() {
            self.queue_delay.observe_duration(delay);
            self.queuing_latency.observe_duration(delay);
        }
        self.totals.responded(timeline);
    }

    /// A request that was asked in TensorFlow Serving's words ended: besides `responded` or `errored`.
    pub fn tensorflow(&self, entrypoint: Entrypoint, outcome: Result<&Timeline, ErrorKind>) {
        self.tensorflow.ended(entrypoint, outcome);
    }

    /// A request ended in an error, so long after its head was read.
    pub fn errored(&self, kind: ErrorKind, took: Duration) {
        self.in_flight.dec();
        self.errors[kind as usize].inc();
        self.totals.failed(took);
    }

    /// A request was refused for overload: besides being refused before it was admitted, or having
    /// ended in an error.
    pub fn shed(&self, why: Shed) {
        self.shed[why as usize].inc();
    }

    /// A request ended because nobody waited for it any more, so long after its head was read.
    pub fn caller_gone(&self, took: Duration) {
        self.in_flight.dec();
        self.callers_gone.inc();
        self.totals.failed(took);
    }

    /// Whom to ask about the queue; asked at every scrape. Counting here would cost every request, and
    /// writing down what two threads saw would sometimes keep the older number.
    pub fn watch_queue(&self, look: impl Fn() -> QueueView + Send + Sync + 'static) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(look));
    }

    /// Brings up to date what is only looked at by a scrape.
    pub(crate) fn refresh(&self) {
        let look = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let view = look.as_ref().map(|look| look()).unwrap_or_default();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.queue_depth.set(count(view.waiting));
        self.first_response.follow(&self.request_duration);
        raise(&self.rows, self.request_rows.sum());
        self.triton.show(&self.statistics(), self.failures(), view.waiting);
        self.full_batch_rows.set(count(view.full_batch_rows));
        self.full_batch_seconds.set(view.full_batch.as_secs_f64());
        self.single_row_seconds.set(view.single_row.as_secs_f64());
    }

    /// What the version has done so far.
    pub(crate) fn statistics(&self) -> Statistics {
        self.totals.statistics(Counted {
            responses: self.responses.get(),
            failures: self.failures().iter().sum(),
            rows: self.request_rows.sum(),
            queue_ns: self.queue_delay.sum(),
        })
    }

    /// By their reasons in Triton's words, in their order.
    fn failures(&self) -> [u64; Reason::ALL.len()] {
        let mut failures = [0; Reason::ALL.len()];
        for (kind, counter) in ErrorKind::ALL.into_iter().zip(&self.errors) {
            failures[Reason::of(kind) as usize] += counter.get();
        }
        failures[Reason::Canceled as usize] += self.callers_gone.get();
        failures
    }

    /// A batch was executed.
    pub fn batch(&self, facts: BatchFacts, gather: Duration, execute: Duration, scatter: Duration) {
        self.batches[facts.closed_by as usize].inc();
        self.batch_rows.observe_count(facts.rows);
        self.batch_requests.observe_count(facts.requests);
        self.gather_duration.observe_duration(gather);
        self.execution_duration.observe_duration(execute);
        self.scatter_duration.observe_duration(scatter);
        self.totals.executed(facts.rows, gather, execute, scatter);
    }
}

impl fmt::Debug for ModelMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tidegate_inference::Total;

    use super::*;

    #[test]
    fn kinds_and_reasons_index_their_own_counters() {
        for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        for (index, why) in Shed::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, index);
        }
    }

    #[test]
    fn what_was_accepted_is_in_flight_or_ended() {
        let metrics = ModelMetrics::unregistered();
        for _ in 0..4 {
            metrics.accepted();
        }
        metrics.responded(&Timeline::starting(std::time::Instant::now()), 1);
        metrics.errored(ErrorKind::ModelFailed, Duration::from_millis(2));
        metrics.caller_gone(Duration::from_millis(3));
        let errors: u64 = metrics.errors.iter().map(Counter::get).sum();
        let ended = metrics.responses.get() + errors + metrics.callers_gone.get();
        assert_eq!((metrics.accepted.get(), ended, metrics.in_flight.get()), (4, 3, 1));
        let Statistics { success, fail, .. } = metrics.statistics();
        assert_eq!((success.count, fail), (1, Total { count: 2, ns: 5_000_000 }));
        assert_eq!(metrics.failures(), [0, 1, 1, 0]);
    }

    #[test]
    fn a_response_that_never_ran_adds_no_durations() {
        let metrics = ModelMetrics::unregistered();
        metrics.accepted();
        metrics.responded(&Timeline::starting(std::time::Instant::now()), 1);
        assert_eq!(metrics.statistics().compute_infer, Total { count: 1, ns: 0 });
    }
}
