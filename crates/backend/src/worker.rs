//! The threads that pull batches from one version's queue: one thread for each instance.
//!
//! Who of them forms the next batch is decided in `leadership`.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Instant;

use tidegate_batcher::{Batch, Batcher, InputBuffers, Run, RunTimes};
use tidegate_telemetry::ModelMetrics;

use crate::Instance;
use crate::engine::run_caught;
use crate::leadership::{Leadership, Sleeper, Turn};

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
        let leadership = Leadership::new(batcher);
        leadership.set_instances(instances.len());
        let mut group = Self { workers: Vec::with_capacity(instances.len()) };
        for (number, instance) in instances.into_iter().enumerate() {
            let worker = Worker {
                number,
                leadership: Arc::clone(&leadership),
                instance,
                buffers: InputBuffers::default(),
                metrics: Arc::clone(&metrics),
            };
            let name = short_name(thread_name, number);
            match thread::Builder::new().name(name).spawn(move || worker.work()) {
                Ok(handle) => group.workers.push(handle),
                Err(error) => {
                    leadership.abandon();
                    group.join();
                    return Err(error);
                }
            }
        }
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
    number: usize,
    leadership: Arc<Leadership>,
    instance: Box<dyn Instance>,
    buffers: InputBuffers,
    metrics: Arc<ModelMetrics>,
}

impl Worker {
    fn work(mut self) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let me = Sleeper { worker: self.number, waker };
        let mut finished = None;
        loop {
            let now = Instant::now();
            match self.leadership.take_turn(&me, finished.take(), now) {
                Turn::Execute(batch) => {
                    let ticket = batch.ticket();
                    finished = Some((ticket, self.execute(batch, now)));
                }
                // Sleep may end early or for no reason: then the next turn is another sleep.
                Turn::Sleep(None) => thread::park(),
                Turn::Sleep(Some(until)) => {
                    thread::park_timeout(until.saturating_duration_since(Instant::now()));
                }
                Turn::Leave => return,
            }
        }
    }

    fn execute(&mut self, batch: Batch, dispatched: Instant) -> Run {
        let inputs = batch.gather(&mut self.buffers);
        let gathered = Instant::now();
        let outcome = run_caught(&mut *self.instance, &inputs);
        let executed = Instant::now();
        drop(inputs);
        let facts = batch.facts();
        let mut run = Run::default();
        match outcome {
            Ok(outputs) => {
                // With the gathering: it grows with the rows as well, and callers wait for it as well.
                run.execution = Some(executed - dispatched);
                // The callers get their rows together with the stamps, so this one is the start of
                // the scatter; the metric below knows its whole length.
                let scattered = Instant::now();
                batch.scatter(outputs, RunTimes { dispatched, gathered, executed, scattered });
            }
            Err(fault) => batch.fail(fault.error()),
        }
        let scattered = executed.elapsed();
        self.metrics.batch(facts, gathered - dispatched, executed - gathered, scattered);
        run
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
