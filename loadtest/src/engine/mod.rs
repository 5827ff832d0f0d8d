//! Asks and records: the generator.
//!
//! Threads that share nothing turn to requests when they are due, each with a runtime, connections and histograms of its
//! own, and hand what they recorded over by value once a second; one collector, the thread that called [`drive`], adds
//! it up. Nothing on a request's way is locked.
//!
//! It does not know wire formats, and it does not decide what is asked or when.

mod alarm;
mod body;
mod collection;
pub mod cpu;
mod generator;
mod lane;
mod link;
mod once;
mod summary;
mod tally;
mod validity;

#[cfg(test)]
mod honesty;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::time::Instant;

use crate::Failure;
use crate::figures::{Progress, Run};
use crate::load::{Arrivals, Load};
use collection::Collection;
use generator::{HandOver, Place, generate};
pub use once::once;
use summary::Drive;

/// Between the threads' start and the first request: all are ready when it is due.
const LEAD: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_millis(250);
/// Every run is bounded in time, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug)]
pub struct DriveOptions {
    /// Generator threads; connections and arrivals are divided among them.
    pub threads: usize,
    pub seed: u64,
    /// A local server's process id: its CPU time, with that of its descendants, is measured over the recorded time.
    pub server_process: Option<u32>,
}

/// Drives all loads at once, to their end. One [`Run`] for each, in the same order.
///
/// `watch` is called when the clock starts, and then about four times a second; it may end the drive early.
///
/// # Errors
/// When a load cannot be driven as it is, or the system gives no thread or timer.
pub fn drive(
    loads: &[Load],
    options: &DriveOptions,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Vec<Run>, Failure> {
    loads.iter().try_for_each(check)?;
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now() + LEAD;
    let taken: Arc<[AtomicU64]> = loads.iter().map(|_| AtomicU64::new(0)).collect();
    let threads = options.threads.max(1);
    thread::scope(|scope| {
        let (to, from) = channel();
        for thread in 0..threads {
            let place = Place {
                thread,
                threads,
                start,
                seed: options.seed,
                stop: Arc::clone(&stop),
                made_up_time: false,
                taken: Arc::clone(&taken),
            };
            let to = to.clone();
            let spawned = thread::Builder::new()
                .name(format!("generator-{thread}"))
                .spawn_scoped(scope, move || run_thread(loads, place, to));
            if let Err(error) = spawned {
                stop.store(true, Ordering::Relaxed);
                return Err(Failure::from(error).within("a generator thread"));
            }
        }
        drop(to);
        let mut collector = Collector {
            collection: Collection::new(loads, start),
            process: options.server_process,
            cpu_at_start: None,
            cpu_at_end: None,
        };
        let mut next_tick = start;
        loop {
            let wake = collector.next_boundary().map_or(next_tick, |at| at.min(next_tick));
            let hand_over = from.recv_timeout(wake.saturating_duration_since(Instant::now()));
            match hand_over {
                Ok(hand_over) => {
                    if matches!(hand_over, HandOver::Failed(_)) {
                        stop.store(true, Ordering::Relaxed);
                    }
                    collector.collection.add(hand_over);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = Instant::now();
            collector.read_cpu(now);
            if now >= next_tick {
                next_tick = now + TICK;
                if watch(&collector.collection.progress(loads, now)).is_break() {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
        // A load that ended before its time left the second boundary unread.
        collector.read_cpu(collector.collection.recorded().1);
        let drive = Drive {
            server_cpu: collector.server_cpu(),
            interrupted: stop.load(Ordering::Relaxed),
            seed: options.seed,
            shares: Vec::new(),
        };
        let (collected, shares) = collector.collection.finish(loads)?;
        let drive = Drive { shares, ..drive };
        let runs = loads.iter().zip(collected).enumerate();
        Ok(runs.map(|(index, (load, all))| summary::run(index, load, all, &drive)).collect())
    })
}

fn check(load: &Load) -> Result<(), Failure> {
    let at_fault = |what: &str| Err(Failure::new(what).within(format!("load {:?}", load.name)));
    if load.questions.is_empty() {
        return at_fault("it has no question to ask");
    }
    if load.endpoints.is_empty() {
        return at_fault("it has no endpoint to ask");
    }
    if load.duration.is_zero() {
        return at_fault("its duration is zero");
    }
    if load.start + load.warm_up + load.duration > LONGEST {
        return at_fault("it takes longer than a day");
    }
    let connections = match load.arrivals {
        Arrivals::Open(_) => load.connections,
        Arrivals::Closed { callers } => callers,
    };
    if connections == 0 {
        return at_fault("it has no connection to ask on");
    }
    Ok(())
}

fn run_thread(loads: &[Load], place: Place, to: Sender<HandOver>) {
    match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(generate(loads, place, to)),
        Err(error) => {
            // The collector is gone only when the run is.
            let _ = to.send(HandOver::Failed(Failure::from(error).within("a runtime")));
        }
    }
}

/// The collection, and the server's CPU time at the two ends of the recorded time.
struct Collector {
    collection: Collection,
    process: Option<u32>,
    cpu_at_start: Option<Duration>,
    cpu_at_end: Option<Duration>,
}

impl Collector {
    fn next_boundary(&self) -> Option<Instant> {
        self.process?;
        let (start, end) = self.collection.recorded();
        match (self.cpu_at_start, self.cpu_at_end) {
            (None, _) => Some(start),
            (_, None) => Some(end),
            _ => None,
        }
    }

    fn read_cpu(&mut self, now: Instant) {
        let Some((process, boundary)) = self.process.zip(self.next_boundary()) else { return };
        if now < boundary {
            return;
        }
        // A process that is gone has used nothing more.
        let used = cpu::of_process_tree(process).unwrap_or_default();
        let end =
            if self.cpu_at_start.is_none() { &mut self.cpu_at_start } else { &mut self.cpu_at_end };
        *end = Some(used);
    }

    fn server_cpu(&self) -> Option<Duration> {
        let used = self.cpu_at_end?.checked_sub(self.cpu_at_start?)?;
        (!used.is_zero()).then_some(used)
    }
}
