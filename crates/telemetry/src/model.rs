//! What is counted for one version of one model: a bundle of handles, taken once.
//!
//! Every method is a few relaxed additions: no look-up, no lock, no allocation. For every request that was
//! accepted, exactly one of `responded`, `errored` and `caller_gone` is to be called.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tidegate_inference::{BatchFacts, CloseReason, ErrorKind, ModelName, Stage, Timeline, Version};

use crate::families::{Families, ModelLabels, SecondsGauge, TRITON_REASONS};
use crate::faults::FaultMetrics;
use crate::histogram::Histogram;
use crate::shed::Shed;

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
    triton: Triton,
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

/// The same events in Triton's words.
#[derive(Debug)]
struct Triton {
    success: Counter,
    rejected: Counter,
    canceled: Counter,
    backend: Counter,
    other: Counter,
    count: Counter,
    exec_count: Counter,
    request_us: Counter,
    queue_us: Counter,
    input_us: Counter,
    infer_us: Counter,
    output_us: Counter,
    pending: Gauge,
}

impl ModelMetrics {
    /// Counts, and shows nobody: for tests and for whoever has no telemetry.
    pub fn unregistered() -> Self {
        let model = ModelName::new("unregistered").expect("a valid name");
        let version = Version::new(1).expect("a valid version");
        Self::new(&Families::default(), &ModelLabels::new(&model, version))
    }

    pub(crate) fn new(families: &Families, labels: &ModelLabels) -> Self {
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
            batch_rows: families.batch_rows.get_or_create_owned(labels),
            batch_requests: families.batch_requests.get_or_create_owned(labels),
            batches: CloseReason::ALL.map(|reason| {
                let word = [("closed_by", reason.as_str())];
                families.batches.get_or_create_owned(&(labels.clone(), word))
            }),
            faults: FaultMetrics::new(families, labels),
            triton: Triton::new(families, labels),
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
        self.rows.inc_by(rows as u64);
        let end =
            [Stage::Encoded, Stage::Scattered].into_iter().find(|s| timeline.at(*s).is_some());
        let total = end.and_then(|end| timeline.between(Stage::Received, end));
        if let Some(total) = total {
            self.request_duration.observe_duration(total);
        }
        if let Some(delay) = timeline.queue_delay() {
            self.queue_delay.observe_duration(delay);
        }
        self.triton.responded(timeline, total.unwrap_or_default());
    }

    /// A request ended in an error.
    pub fn errored(&self, kind: ErrorKind) {
        self.in_flight.dec();
        self.errors[kind as usize].inc();
        self.triton.failure(kind).inc();
    }

    /// A request was refused for overload: besides being refused before it was admitted, or having
    /// ended in an error.
    pub fn shed(&self, why: Shed) {
        self.shed[why as usize].inc();
    }

    /// A request ended because nobody waited for it any more.
    pub fn caller_gone(&self) {
        self.in_flight.dec();
        self.callers_gone.inc();
        self.triton.canceled.inc();
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
        self.triton.pending.set(count(view.waiting));
        self.full_batch_rows.set(count(view.full_batch_rows));
        self.full_batch_seconds.set(view.full_batch.as_secs_f64());
        self.single_row_seconds.set(view.single_row.as_secs_f64());
    }

    /// A batch was executed.
    pub fn batch(&self, facts: BatchFacts, gather: Duration, execute: Duration, scatter: Duration) {
        self.batches[facts.closed_by as usize].inc();
        self.batch_rows.observe_count(facts.rows);
        self.batch_requests.observe_count(facts.requests);
        self.gather_duration.observe_duration(gather);
        self.execution_duration.observe_duration(execute);
        self.scatter_duration.observe_duration(scatter);
        self.triton.count.inc_by(facts.rows as u64);
        self.triton.exec_count.inc();
    }
}

impl fmt::Debug for ModelMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelMetrics").finish_non_exhaustive()
    }
}

impl Triton {
    fn new(families: &Families, labels: &ModelLabels) -> Self {
        let [rejected, canceled, backend, other] = TRITON_REASONS.map(|reason| {
            families.nv_failure.get_or_create_owned(&(labels.clone(), [("reason", reason)]))
        });
        Self {
            success: families.nv_success.get_or_create_owned(labels),
            rejected,
            canceled,
            backend,
            other,
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

    /// Triton adds a batch's times once for each of its requests, and only for those that succeed.
    fn responded(&self, timeline: &Timeline, total: Duration) {
        let add = |counter: &Counter, duration: Option<Duration>| {
            let micros = duration.unwrap_or_default().as_micros();
            counter.inc_by(u64::try_from(micros).unwrap_or(u64::MAX));
        };
        self.success.inc();
        add(&self.request_us, Some(total));
        add(&self.queue_us, timeline.queue_delay());
        add(&self.input_us, timeline.between(Stage::Dispatched, Stage::Gathered));
        add(&self.infer_us, timeline.between(Stage::Gathered, Stage::Executed));
        add(&self.output_us, timeline.between(Stage::Executed, Stage::Scattered));
    }

    /// `REJECTED` is Triton's word for what its scheduler turned away: full, late or not ready.
    fn failure(&self, kind: ErrorKind) -> &Counter {
        match kind {
            ErrorKind::Overloaded | ErrorKind::DeadlineExceeded | ErrorKind::Unavailable => {
                &self.rejected
            }
            ErrorKind::ModelFailed => &self.backend,
            _ => &self.other,
        }
    }
}

#[cfg(test)]
mod tests {
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
        metrics.errored(ErrorKind::ModelFailed);
        metrics.caller_gone();
        let errors: u64 = metrics.errors.iter().map(Counter::get).sum();
        let ended = metrics.responses.get() + errors + metrics.callers_gone.get();
        assert_eq!((metrics.accepted.get(), ended, metrics.in_flight.get()), (4, 3, 1));
    }

    #[test]
    fn a_response_that_never_ran_adds_no_durations() {
        let metrics = ModelMetrics::unregistered();
        metrics.accepted();
        metrics.responded(&Timeline::starting(std::time::Instant::now()), 1);
        assert_eq!((metrics.triton.success.get(), metrics.triton.infer_us.get()), (1, 0));
    }
}
