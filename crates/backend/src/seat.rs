//! A worker's seat: its instance, run under watch, and made again when it can no longer be trusted.
//!
//! While a run is inside the engine, what its callers were promised and the worker's reruns lie with the
//! watch: should the engine not return, they are not lost with the thread.

use std::sync::Arc;
use std::time::Instant;

use tidegate_batcher::{Batch, InputBuffers, Promises, TensorView};
use tidegate_inference::{Error, Tensor};
use tidegate_telemetry::RebuildReason;
use tracing::{info, warn};

use crate::crew::Member;
use crate::engine::{Fault, run_caught};
use crate::group::Group;
use crate::reruns::Reruns;
use crate::watchdog::{Ended, Look, Ward, Watch};
use crate::{Instance, Terminator};

/// A batch that is inside the engine, and what its callers were promised.
pub(crate) type Running = Option<(Arc<Batch>, Promises)>;

type Outcome = Result<Vec<Tensor>, Fault>;

/// What others would have to take care of if the worker did not come back.
pub(crate) struct Stake {
    pub(crate) running: Running,
    pub(crate) reruns: Reruns,
}

/// The worker came back too late: it has lost its seat.
#[derive(Debug)]
pub(crate) struct GivenUp;

/// Where one thread's runs are watched.
pub(crate) struct Post {
    pub(crate) group: Arc<Group>,
    /// Of the worker, as the others know it.
    pub(crate) number: usize,
    member: Member,
    watch: Watch<Stake>,
}

impl Post {
    pub(crate) fn take(group: Arc<Group>, number: usize, member: Member) -> Arc<Self> {
        let watch = Watch::new(group.care.pace.grace);
        let post = Arc::new(Self { group, number, member, watch });
        let ward: std::sync::Weak<Self> = Arc::downgrade(&post);
        post.group.watchdog.look_after(ward);
        post
    }
}

impl Ward for Post {
    fn look(&self, now: Instant) -> Option<Instant> {
        match self.watch.look(now) {
            Look::Until(next) => next,
            Look::Told(next) => {
                self.group.metrics.faults().terminated();
                warn!(worker = self.number, "{}; it is told to end", self.group.too_long());
                Some(next)
            }
            Look::GivenUp(stake) => {
                self.group.give_up(self.number, self.member, stake);
                None
            }
        }
    }
}

/// A run that came back.
pub(crate) struct Attempt {
    pub(crate) batch: Batch,
    pub(crate) outcome: Outcome,
    pub(crate) gathered: Instant,
    pub(crate) executed: Instant,
}

pub(crate) struct Seat {
    post: Arc<Post>,
    instance: Result<Box<dyn Instance>, RebuildReason>,
    terminator: Option<Arc<dyn Terminator>>,
    buffers: InputBuffers,
}

impl Seat {
    /// Without an instance, for that reason, until it is [rebuilt](Self::rebuild).
    pub(crate) fn new(post: Arc<Post>, instance: Result<Box<dyn Instance>, RebuildReason>) -> Self {
        let terminator = instance.as_ref().ok().and_then(|instance| instance.terminator());
        Self { post, instance, terminator, buffers: InputBuffers::default() }
    }

    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.post.group
    }

    pub(crate) fn number(&self) -> usize {
        self.post.number
    }

    /// Whether the instance has to be made again before anything runs.
    pub(crate) fn is_vacant(&self) -> bool {
        self.instance.is_err()
    }

    /// Runs the batch. After a panic or a hang the seat is vacant.
    pub(crate) fn run(
        &mut self,
        mut batch: Batch,
        now: Instant,
        reruns: &mut Reruns,
    ) -> Result<Attempt, GivenUp> {
        let promises = batch.promises();
        let batch = Arc::new(batch);
        self.begin(now, Some((Arc::clone(&batch), promises)), reruns);
        let inputs = batch.gather(&mut self.buffers);
        let gathered = Instant::now();
        let outcome = run_on(&mut self.instance, inputs);
        let executed = Instant::now();
        let (running, outcome) = self.end(outcome, reruns)?;
        let promises = running.map(|(_, promises)| promises);
        let mut batch = Arc::into_inner(batch).expect("the watch gave its share back");
        batch.keep(promises.expect("they were left with the watch above"));
        Ok(Attempt { batch, outcome, gathered, executed })
    }

    /// Runs the request that is known to be good; without one, nothing can be said against the instance.
    pub(crate) fn probe(&mut self, reruns: &mut Reruns) -> Result<Result<(), String>, GivenUp> {
        let group = Arc::clone(self.group());
        let Some(request) = &group.care.probe else { return Ok(Ok(())) };
        self.begin(Instant::now(), None, reruns);
        let inputs = self.buffers.try_views(request);
        let outcome = run_on(&mut self.instance, inputs);
        let (_, outcome) = self.end(outcome, reruns)?;
        Ok(outcome.map(drop).map_err(|fault| {
            format!("it fails on a request that it answered when it was loaded: {}", fault.error())
        }))
    }

    /// The same for an instance of which nothing is known any more: one that fails is made again.
    pub(crate) fn prove(&mut self, reruns: &mut Reruns) -> Result<Result<(), String>, GivenUp> {
        if !self.is_vacant() {
            if self.probe(reruns)?.is_ok() {
                return Ok(Ok(()));
            }
            self.vacate(RebuildReason::Broken);
        }
        match self.rebuild() {
            Ok(()) => self.probe(reruns),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// Makes the instance again where it is missing.
    pub(crate) fn rebuild(&mut self) -> Result<(), String> {
        let Err(why) = self.instance else { return Ok(()) };
        let group = Arc::clone(self.group());
        let instance = group.care.rebuild.instance().map_err(|error| {
            format!("an instance cannot be made again ({}): {error}", why.as_str())
        })?;
        group.metrics.faults().rebuilt(why);
        info!(worker = self.number(), reason = why.as_str(), "instance rebuilt");
        self.terminator = instance.terminator();
        self.instance = Ok(instance);
        Ok(())
    }

    fn vacate(&mut self, why: RebuildReason) {
        (self.instance, self.terminator) = (Err(why), None);
    }

    fn begin(&self, now: Instant, running: Option<(Arc<Batch>, Promises)>, reruns: &mut Reruns) {
        let group = self.group();
        let too_long = now + group.care.max_execution_time;
        let stake = Stake { running, reruns: std::mem::take(reruns) };
        self.post.watch.begin(too_long, stake, self.terminator.clone());
        group.watchdog.began(too_long);
    }

    /// Takes back what lay with the watch, and draws the conclusions for the instance.
    fn end(
        &mut self,
        mut outcome: Outcome,
        reruns: &mut Reruns,
    ) -> Result<(Running, Outcome), GivenUp> {
        let stake = match self.post.watch.end() {
            Ended::InTime(stake) => stake,
            Ended::Terminated(stake) => {
                // Even a run that succeeded at the last moment leaves an instance that was told to end.
                self.vacate(RebuildReason::Hang);
                outcome = outcome.map_err(|_| Fault::Hung(self.group().too_long()));
                stake
            }
            Ended::GivenUp => return Err(GivenUp),
        };
        if matches!(outcome, Err(Fault::Panicked(_))) {
            self.vacate(RebuildReason::Panic);
        }
        *reruns = stake.reruns;
        Ok((stake.running, outcome))
    }
}

fn run_on(
    instance: &mut Result<Box<dyn Instance>, RebuildReason>,
    inputs: Result<Vec<TensorView<'_>>, Error>,
) -> Outcome {
    let inputs = inputs.map_err(Fault::OutOfMemory)?;
    match instance {
        Ok(instance) => run_caught(&mut **instance, &inputs),
        Err(_) => Err(Fault::Failed(Error::internal("the worker has no instance"))),
    }
}
