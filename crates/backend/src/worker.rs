//! The threads that pull batches from one version's queue: one thread for each instance.
//!
//! Whoever holds the batcher's lock is the leader: it forms the next batch, or parks until there is
//! one. It lets go of the lock *before* it runs the batch, so the next free thread leads at once:
//! forming is serial, execution parallel, and no dispatcher thread stands in between. A leader that
//! parks keeps the lock on purpose: the others have nothing to do before it wakes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Instant;

use tidegate_batcher::{Batch, Batcher, InputBuffers, RunTimes, Step};
use tidegate_telemetry::ModelMetrics;

use crate::Instance;
use crate::engine::run_caught;

/// Linux keeps this many bytes of a thread's name.
const NAME_BYTES: usize = 15;

/// The workers of one version. They end when its queue is closed and empty.
///
/// [`InstanceGroup::join`] every group before `main` returns: an engine that is still running while
/// the process is torn down can crash it.
pub struct InstanceGroup {
    workers: Vec<JoinHandle<()>>,
}

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
    ) -> io::Result<Self> {
        let batcher = Arc::new(Mutex::new(Some(batcher)));
        let mut group = Self { workers: Vec::with_capacity(instances.len()) };
        // Nobody leads before everybody is there.
        let mut held = batcher.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, instance) in instances.into_iter().enumerate() {
            let worker = Worker {
                batcher: Arc::clone(&batcher),
                instance,
                buffers: InputBuffers::default(),
                metrics: Arc::clone(&metrics),
            };
            let name = short_name(thread_name, number);
            match thread::Builder::new().name(name).spawn(move || worker.work()) {
                Ok(handle) => group.workers.push(handle),
                Err(error) => {
                    *held = None;
                    drop(held);
                    group.join();
                    return Err(error);
                }
            }
        }
        drop(held);
        Ok(group)
    }

    /// Waits until the queue is closed and empty and every run has ended.
    pub fn join(self) {
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a worker ended with a panic");
            }
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

struct Worker {
    /// `None` when the group did not come about.
    batcher: Arc<Mutex<Option<Batcher>>>,
    instance: Box<dyn Instance>,
    buffers: InputBuffers,
    metrics: Arc<ModelMetrics>,
}

impl Worker {
    fn work(mut self) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        while let Some((batch, dispatched)) = self.lead(&waker) {
            self.execute(batch, dispatched);
        }
    }

    /// Waits for leadership, then for a batch. `None` when there will never be another one.
    fn lead(&self, waker: &Waker) -> Option<(Batch, Instant)> {
        let mut batcher = self.batcher.lock().unwrap_or_else(PoisonError::into_inner);
        let batcher = batcher.as_mut()?;
        let context = &mut Context::from_waker(waker);
        loop {
            let now = Instant::now();
            let step = batcher.step(now);
            self.metrics.queue_depth(batcher.queue_len());
            match step {
                Step::Dispatch(batch) => return Some((batch, now)),
                Step::WaitUntil(instant) => park(batcher, context, Some(instant)),
                Step::Idle => park(batcher, context, None),
                Step::Closed => return None,
            }
        }
    }

    fn execute(&mut self, batch: Batch, dispatched: Instant) {
        let inputs = batch.gather(&mut self.buffers);
        let gathered = Instant::now();
        let outcome = run_caught(&mut *self.instance, &inputs);
        let executed = Instant::now();
        drop(inputs);
        let facts = batch.facts();
        match outcome {
            Ok(outputs) => {
                // The callers get their rows together with the stamps, so this one is the start of
                // the scatter; the metric below knows its whole length.
                let scattered = Instant::now();
                batch.scatter(outputs, RunTimes { dispatched, gathered, executed, scattered });
            }
            Err(error) => batch.fail(&error),
        }
        let scattered = executed.elapsed();
        self.metrics.batch(facts, gathered - dispatched, executed - gathered, scattered);
    }
}

/// Until there is news or the instant has come. Parking may end for no reason: it is asked again.
fn park(batcher: &mut Batcher, context: &mut Context<'_>, until: Option<Instant>) {
    while batcher.poll_news(context).is_pending() {
        let Some(until) = until else {
            thread::park();
            continue;
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests;
