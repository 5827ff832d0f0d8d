//! Admission and routing of one request: permit, version, checks, queue, answer.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tidegate_inference::{
    Admission, Admitted, Catalog, Deadline, Error, ErrorKind, ModelName, Request, RequestHead,
    Response, Result, Signature, Stage, Tensor, Timeline, Version,
};

use crate::limits::{InFlight, Permit};
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
}

impl Admission for Router {
    type Admitted = Passage;

    fn admit(&self, head: &RequestHead) -> Result<Passage> {
        // The permit first: a refused request does not use up a version's turn.
        let permit = self.in_flight.permit(head.body_bytes)?;
        let table = self.table.load();
        let (model, lane) = table.pick(&head.model, &head.selector)?;
        lane.metrics.accepted();
        Ok(Passage {
            model: model.clone(),
            lane: Arc::clone(lane),
            deadline: head.deadline,
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
    deadline: Deadline,
    permit: Permit,
    rows: usize,
    settled: bool,
}

impl Passage {
    async fn run(&mut self, request: Request) -> Result<Response> {
        let Request { inputs, outputs, mut timeline, deadline, .. } = request;
        self.deadline = deadline.map_or(self.deadline, |own| own.min(self.deadline));
        let lane = &self.lane;
        let inputs = lane.signature.arrange(inputs)?;
        lane.signature.check_outputs(&outputs)?;
        self.rows = lane.queue.rows(&inputs)?;
        self.permit.take_rows(self.rows)?;

        let now = Instant::now();
        timeline.stamp(Stage::Enqueued, now);
        let answer = lane.queue.submit(inputs, self.deadline, now)?;

        let deadline = tokio::time::Instant::from_std(self.deadline.instant());
        let answered = tokio::time::timeout_at(deadline, answer).await.map_err(|_| {
            let waited = self.deadline.instant().saturating_duration_since(timeline.received());
            Error::new(
                ErrorKind::DeadlineExceeded,
                format!("Request timeout expired after {waited:?}"),
            )
        })??;
        answered.times.stamp(&mut timeline);
        timeline.set_batch(answered.batch);
        let all = answered.outputs();
        let outputs = if outputs.is_empty() { all } else { requested(&outputs, &all) };
        Ok(Response { outputs, timeline })
    }
}

/// The requested outputs in the requested order; each is known to exist.
fn requested(names: &[Arc<str>], all: &[Tensor]) -> Vec<Tensor> {
    names
        .iter()
        .filter_map(|name| all.iter().find(|tensor| tensor.name() == name).cloned())
        .collect()
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
        self.deadline
    }

    fn grow(&mut self, bytes: usize) -> Result<()> {
        self.permit.take_bytes(bytes)
    }

    async fn infer(&mut self, request: Request) -> Result<Response> {
        self.run(request).await.map_err(|error| {
            error.within(format_args!("model '{}' version {}", self.model, self.lane.version))
        })
    }

    fn settle(&mut self, outcome: Result<&Timeline, &Error>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        match outcome {
            Ok(timeline) => self.lane.metrics.responded(timeline, self.rows),
            Err(error) => self.lane.metrics.errored(error.kind()),
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if !self.settled {
            self.lane.metrics.caller_gone();
        }
    }
}
