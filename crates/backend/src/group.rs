//! The workers of one version and what they share: the queue's batcher, the version's health, the threads.
//!
//! What happens when a run goes wrong is decided in `isolation` (which part is run next) and `health`
//! (whether the version can be served); the workers carry it out, and what no worker can do any more,
//! because it is stuck in the engine itself, is done here.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_batcher::{Batcher, Run};
use tidegate_inference::{Error, ErrorKind, Tensor};
use tidegate_telemetry::{ModelMetrics, RebuildReason};
use tracing::{error, info, warn};

use crate::crew::{Crew, Member};
use crate::health::{Backoff, Fitness, Health};
use crate::leadership::Leadership;
use crate::seat::{Post, Stake};
use crate::watchdog::{GRACE, Watchdog};
use crate::worker::Worker;
use crate::{Instance, Rebuild};

/// Linux keeps this many bytes of a thread's name.
const NAME_BYTES: usize = 15;

/// When a version that cannot be served may be asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How a group deals with runs that go wrong.
pub struct Care {
    pub rebuild: Rebuild,
    /// A request that ran well when the version was loaded, in the order of the signature. Without one,
    /// a version that fails on everything cannot be told from bad requests.
    pub probe: Option<Vec<Tensor>>,
    /// A run that takes longer is ended.
    pub max_execution_time: Duration,
    /// Hears when the version becomes unfit and fit again, in order. It must not wait for the group.
    pub hears: Box<dyn Fn(Fitness) + Send + Sync>,
    pub(crate) pace: Pace,
}

/// Times that tests make short.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) grace: Duration,
    pub(crate) backoff: Backoff,
}

impl Care {
    /// No probe, 30 seconds for a run, and nobody hears.
    pub fn new(rebuild: Rebuild) -> Self {
        Self {
            rebuild,
            probe: None,
            max_execution_time: Duration::from_secs(30),
            hears: Box::new(|_| {}),
            pace: Pace { grace: GRACE, backoff: Backoff::default() },
        }
    }
}

impl fmt::Debug for Care {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Care").finish_non_exhaustive()
    }
}

/// The workers of one version. They end when its queue is closed and empty.
///
/// [`InstanceGroup::join`] every group before `main` returns: an engine that is still running while
/// the process is torn down can crash it.
pub struct InstanceGroup(Arc<Group>);

impl InstanceGroup {
    /// Starts a thread for each instance, named `<thread_name>-<n>` as far as that fits.
    ///
    /// # Errors
    /// When the system has no thread left; those that were started have ended again by then.
    pub fn start(
        thread_name: &str,
        instances: Vec<Box<dyn Instance>>,
        batcher: Batcher,
        metrics: Arc<ModelMetrics>,
        care: Care,
    ) -> io::Result<Self> {
        let watchdog = Watchdog::of_this_process()?;
        Self::watched_by(watchdog, thread_name, instances, batcher, metrics, care)
    }

    pub(crate) fn watched_by(
        watchdog: Arc<Watchdog>,
        thread_name: &str,
        instances: Vec<Box<dyn Instance>>,
        batcher: Batcher,
        metrics: Arc<ModelMetrics>,
        care: Care,
    ) -> io::Result<Self> {
        let group = Arc::new(Group {
            name: thread_name.to_owned(),
            leadership: Leadership::new(batcher),
            metrics,
            health: Mutex::new(Health::new(care.pace.backoff)),
            epoch: AtomicU64::new(0),
            crew: Crew::default(),
            watchdog,
            care,
        });
        group.leadership.set_instances(instances.len());
        for (number, instance) in instances.into_iter().enumerate() {
            if let Err(error) = group.enlist(number, Worker::with_instance(instance)) {
                group.leadership.abandon();
                group.crew.join();
                return Err(error);
            }
        }
        Ok(Self(group))
    }

    /// Whether the queue is closed and empty and every run has ended, for which it waits so long at most.
    /// Then [`InstanceGroup::join`] does not wait.
    pub fn has_left_within(&self, patience: Duration) -> bool {
        self.0.crew.has_left_within(patience)
    }

    /// Waits until the queue is closed and empty and every run has ended. Says how many threads are
    /// stuck in the engine: then the process must end without the engine's own clean-up.
    pub fn join(self) -> usize {
        self.0.crew.join()
    }
}

/// What the workers share.
pub(crate) struct Group {
    name: String,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) metrics: Arc<ModelMetrics>,
    pub(crate) care: Care,
    health: Mutex<Health>,
    /// Of `health`, to be read before every batch.
    epoch: AtomicU64,
    crew: Crew,
    pub(crate) watchdog: Arc<Watchdog>,
}

impl Group {
    fn enlist(
        self: &Arc<Self>,
        number: usize,
        worker: impl FnOnce(Arc<Post>) -> Worker + Send + 'static,
    ) -> io::Result<()> {
        let group = Arc::clone(self);
        self.crew.enlist(short_name(&self.name, number), move |member| {
            let leaving = Leaving { group: Arc::clone(&group), member };
            let post = Post::take(group, number, member);
            worker(post).work();
            drop(leaving);
        })
    }

    /// Why requests cannot be served now.
    pub(crate) fn refusal(&self) -> Option<Error> {
        if !self.is_unfit() {
            return None;
        }
        let health = self.health();
        let why = format!("it is not at ready state: {}", health.reason()?);
        Some(Error::new(ErrorKind::Unavailable, why).with_retry_after(RETRY_AFTER))
    }

    /// Odd while the version is unfit; another one after every change.
    pub(crate) fn epoch(&self) -> u64 {
        // Relaxed: a hint to take the lock, and a batch that just misses a change is run.
        self.epoch.load(Ordering::Relaxed)
    }

    fn is_unfit(&self) -> bool {
        self.epoch() % 2 == 1
    }

    pub(crate) fn next_probe(&self) -> Option<Instant> {
        if !self.is_unfit() {
            return None;
        }
        self.health().next_probe()
    }

    pub(crate) fn take_probe(&self) -> bool {
        self.is_unfit() && self.health().take_probe(Instant::now())
    }

    pub(crate) fn broke_down(&self, reason: String) {
        self.change(|health, now| health.broke_down(reason, now));
    }

    pub(crate) fn probed(&self, outcome: Result<(), String>) {
        self.change(|health, now| health.probed(outcome, now));
    }

    /// A worker did not come back from the engine: its callers are answered, its reruns and its seat go
    /// to a new thread, which makes an instance of its own.
    pub(crate) fn give_up(self: &Arc<Self>, number: usize, member: Member, stake: Stake) {
        self.crew.give_up(member);
        let Stake { running, mut reruns } = stake;
        if let Some((batch, promises)) = running {
            promises.fail(&self.too_long());
            let run = Run { guilty: batch.fingerprints(), ..Run::default() };
            self.leadership.finished(batch.ticket(), run, Instant::now());
        } else {
            self.change(Health::probe_is_stuck);
        }
        reruns.lost_what_ran();
        self.change(|health, now| health.gave_up_a_thread(now));
        let stuck = self.health().given_up();
        self.metrics.faults().set_stuck_threads(stuck);
        error!(group = self.name, stuck, "a thread is stuck in the engine and was given up");
        let heir = Worker::with_inheritance(reruns, RebuildReason::Stuck);
        if let Err(error) = self.enlist(number, heir) {
            self.broke_down(format!("no thread can be started for a stuck one: {error}"));
        }
    }

    /// What the callers of a run that was ended are told.
    pub(crate) fn too_long(&self) -> Error {
        let bound = self.care.max_execution_time;
        let why = format!("the model ran longer than its max_execution_time of {bound:?}");
        Error::new(ErrorKind::ModelFailed, why)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the health and tells what is new, under the lock: in the order in which it became true.
    fn change(&self, change: impl FnOnce(&mut Health, Instant) -> Option<Fitness>) {
        let mut health = self.health();
        let news = change(&mut health, Instant::now());
        self.epoch.store(health.epoch(), Ordering::Relaxed);
        let Some(news) = news else { return };
        match &news {
            Fitness::Fit => info!(group = self.name, "runs again"),
            Fitness::Unfit(reason) => warn!(group = self.name, reason, "does not run any more"),
        }
        (self.care.hears)(news);
    }
}

/// Signs the thread off, even when its worker panics.
struct Leaving {
    group: Arc<Group>,
    member: Member,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let Self { group, member } = self;
        if group.crew.leaves(*member) {
            group.change(|health, _| {
                health.a_thread_returned();
                None
            });
            group.metrics.faults().set_stuck_threads(group.health().given_up());
            info!(group = group.name, "a thread that was stuck in the engine came back and ended");
        }
    }
}

fn short_name(name: &str, number: usize) -> String {
    let suffix = format!("-{number}");
    let mut end = name.len().min(NAME_BYTES.saturating_sub(suffix.len()));
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    // A zero byte cannot be in a thread's name; `Builder::spawn` would panic on it.
    format!("{}{suffix}", name[..end].replace('\0', ""))
}

#[cfg(test)]
mod tests;
