//! Admission and routing of one request: permit, version, checks, queue, answer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tidegate_batcher::{Answer, Answered, Queue, Terms};
use tidegate_inference::{
    Admission, Admitted, Catalog, Deadline, Entrypoint, Error, ErrorKind, ModelName, Priority,
    Request, RequestHead, Response, Result, Signature, Stage, Tensor, Timeline, Version,
};
use tidegate_telemetry::Shed;

use crate::limits::{InFlight, Permit};
use crate::timing::check_in_time;
use crate::{Lane, Limits, RouteTable};

/// Reads the route table that control publishes.
pub struct Router {
    table: ArcSwap<RouteTable>,
    in_flight: Arc<InFlight>,
}

impl Router {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { table: ArcSwap::default(), in_flight: Arc::new(InFlight::new(limits)) })
    }

    /// Replaces the table. Requests that are inside keep the lane they were given; the next one
    /// reads the new table.
    pub fn publish(&self, table: RouteTable) {
        self.table.store(Arc::new(table));
    }

    /// Requests that hold a permit.
    pub fn in_flight(&self) -> usize {
        self.in_flight.requests()
    }

    /// Rows of the requests that hold a permit, as far as they are known.
    pub fn rows_in_flight(&self) -> usize {
        self.in_flight.rows()
    }
}

impl Admission for Router {
    type Permit = Permit;
    type Admitted = Passage;

    fn permit(&self, bytes: usize) -> Result<Permit> {
        self.in_flight.permit(bytes)
    }

    /// With a permit in its hand: a refused request does not use up a version's turn.
    fn admit(&self, head: &RequestHead, permit: Permit) -> Result<Passage> {
        let table = self.table.load();
        let (model, lane) = table.pick(&head.model, &head.selector)?;
        let now = head.received;
        let terms = lane.timing.terms(now, now, head.deadline, Priority::DEFAULT);
        // How many rows it has, the body tells; it has one at least.
        check_in_time(&lane.queue, 1, None, &terms, now).map_err(|error| {
            lane.metrics.shed(Shed::PredictedLate);
            error.within(Place(model, lane))
        })?;
        lane.metrics.accepted();
        Ok(Passage {
            model: model.clone(),
            lane: Arc::clone(lane),
            received: now,
            terms,
            permit,
            rows: 0,
            settled: false,
        })
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.table.load().catalog)
    }
}

/// One request's way through: the permit it holds and the lane it was given.
pub struct Passage {
    model: ModelName,
    lane: Arc<Lane>,
    received: Instant,
    terms: Terms,
    permit: Permit,
    rows: usize,
    settled: bool,
}

impl Passage {
    async fn run(&mut self, request: Request) -> Result<Response> {
        let Request { inputs, outputs, deadline, priority, mut timeline, .. } = request;
        let lane = &self.lane;
        let inputs = lane.signature.arrange(inputs)?;
        lane.signature.check_outputs(&outputs)?;
        self.rows = lane.queue.rows(&inputs)?;
        self.permit
            .take_rows(self.rows)
            .inspect_err(|error| shed(lane, error, Shed::RowsInFlight))?;

        let deadline = deadline.map_or(self.terms.deadline, |own| own.min(self.terms.deadline));
        let now = Instant::now();
        self.terms = lane.timing.terms(timeline.received(), now, deadline, priority);
        if deadline.is_past(now) {
            let waited = now.saturating_duration_since(timeline.received());
            return Err(expired(waited, "before it was queued"));
        }
        check_in_time(&lane.queue, self.rows, Some(priority), &self.terms, now)
            .inspect_err(|error| shed(lane, error, Shed::PredictedLate))?;
        timeline.stamp(Stage::Enqueued, now);
        let answer = lane
            .queue
            .submit(inputs, self.terms, now)
            .inspect_err(|error| shed(lane, error, Shed::QueueFull))?;
        let mut waiting = Waiting { queue: &lane.queue, answer: Some(answer) };

        let until = tokio::time::Instant::from_std(deadline.instant());
        let answered = match tokio::time::timeout_at(until, &mut waiting).await {
            Ok(answered) => answered?,
            Err(_) => return Err(unanswered(waiting, deadline, &timeline)),
        };
        answered.times.stamp(&mut timeline);
        timeline.set_batch(answered.batch);
        let all = answered.outputs();
        let outputs = if outputs.is_empty() { all } else { requested(&outputs, &all) };
        Ok(Response { outputs, timeline })
    }
}

/// A caller that waits for its answer. Dropped before that is there, it frees its place in the queue.
struct Waiting<'q> {
    queue: &'q Queue,
    /// Gone once it was answered.
    answer: Option<Answer>,
}

impl Future for Waiting<'_> {
    type Output = Result<Answered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = self.answer.as_mut() else { return Poll::Pending };
        let answered = ready!(Pin::new(answer).poll(context));
        self.answer = None;
        Poll::Ready(answered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // First the answer: who waits for it no more is known by that.
        if self.answer.take().is_some() {
            self.queue.departed(Instant::now());
        }
    }
}

/// Nothing has come by the deadline. The queue is searched for the late, so that whoever still waits in it
/// hears so from there; nobody else knows who is waiting and who is being run.
fn unanswered(mut waiting: Waiting<'_>, deadline: Deadline, timeline: &Timeline) -> Error {
    let searched = waiting.queue.sweep(Instant::now());
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut waiting).poll(&mut context) {
        Poll::Ready(Err(error)) => error,
        _ => {
            let place = if searched { "in execution" } else { "in the queue or in execution" };
            expired(deadline.left(timeline.received()), place)
        }
    }
}

fn expired(after: Duration, place: &str) -> Error {
    let message =
        format!("Request timeout expired after {:.3} ms, {place}", after.as_secs_f64() * 1e3);
    Error::new(ErrorKind::DeadlineExceeded, message)
}

/// Counts a refusal for overload; other errors are no shedding.
fn shed(lane: &Lane, error: &Error, why: Shed) {
    if error.kind() == ErrorKind::Overloaded {
        lane.metrics.shed(why);
    }
}

/// Where an error happened.
struct Place<'a>(&'a ModelName, &'a Lane);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model '{}' version {}", self.0, self.1.version)
    }
}

/// The requested outputs in the requested order; each is known to exist.
fn requested(names: &[Arc<str>], all: &[Tensor]) -> Vec<Tensor> {
    names
        .iter()
        .filter_map(|name| all.iter().find(|tensor| tensor.name() == name).cloned())
        .collect()
}

impl tidegate_inference::Permit for Permit {
    fn grow(&mut self, bytes: usize) -> Result<()> {
        self.take_bytes(bytes)
    }
}

impl tidegate_inference::Permit for Passage {
    fn grow(&mut self, bytes: usize) -> Result<()> {
        self.permit
            .take_bytes(bytes)
            .inspect_err(|error| shed(&self.lane, error, Shed::BytesInFlight))
    }
}

impl Admitted for Passage {
    fn model(&self) -> &ModelName {
        &self.model
    }

    fn version(&self) -> Version {
        self.lane.version
    }

    fn signature(&self) -> &Arc<Signature> {
        &self.lane.signature
    }

    fn deadline(&self) -> Deadline {
        self.terms.deadline
    }

    async fn infer(&mut self, request: Request) -> Result<Response> {
        self.run(request).await.map_err(|error| error.within(Place(&self.model, &self.lane)))
    }

    fn tensorflow(&self, entrypoint: Entrypoint, outcome: Result<&Timeline, &Error>) {
        self.lane.metrics.tensorflow(entrypoint, outcome.map_err(Error::kind));
    }

    fn settle(&mut self, outcome: Result<&Timeline, &Error>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        match outcome {
            Ok(timeline) => self.lane.metrics.responded(timeline, self.rows),
            Err(error) => self.lane.metrics.errored(error.kind(), self.received.elapsed()),
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if !self.settled {
            self.lane.metrics.caller_gone(self.received.elapsed());
        }
    }
}

#[cfg(test)]
mod tests;
