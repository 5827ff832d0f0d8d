//! One generator thread: turns to each request when it is due, and hands its tallies over once a second.
//!
//! Everything of a thread happens on it: its runtime, its connections, its records. What it does is a plain future, so
//! that tests can run it in made-up time.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::alarm::Alarm;
use super::lane::Lane;
use super::tally::Tally;
use crate::Failure;
use crate::load::{Arrivals, Load};
use crate::question::Ending;

/// Requests that may be turned to in a row before their tasks get to run.
const BURST: usize = 8;
/// However far away the next request is: whether the run is to end is looked at as often as this.
const LOOK_UP: Duration = Duration::from_millis(250);
/// A caller whose server cannot be reached asks again after this, not at once.
const BACK_OFF: Duration = Duration::from_millis(50);
/// After the last timeout: for what the runtime still has to do.
const PATIENCE: Duration = Duration::from_secs(2);
const HAND_OVER: Duration = Duration::from_secs(1);

/// Which of how many threads this is, and what they share.
#[derive(Clone)]
pub struct Place {
    pub thread: usize,
    pub threads: usize,
    pub start: Instant,
    pub seed: u64,
    pub stop: Arc<AtomicBool>,
    /// Made-up time has no alarm but the runtime's.
    pub made_up_time: bool,
    /// For each load, the requests that callers of a closed loop have asked for.
    pub taken: Arc<[AtomicU64]>,
}

/// What a thread sends, about a load or about itself.
pub enum HandOver {
    Tally {
        load: usize,
        /// Of the hand-over: seconds since the start, the same on all threads.
        number: u64,
        tally: Box<Tally>,
    },
    Thread {
        thread: usize,
        from: Instant,
        to: Instant,
        cpu: Duration,
        /// The last of a thread: over the whole of its run.
        whole: bool,
    },
    Failed(Failure),
}

/// Runs a thread's share of all loads to its end.
pub async fn generate(loads: &[Load], place: Place, to: Sender<HandOver>) {
    LocalSet::new().run_until(share(loads, place, to)).await;
}

async fn share(loads: &[Load], place: Place, to: Sender<HandOver>) {
    let mut lanes = Vec::new();
    let mut pacing = JoinSet::new();
    for (index, load) in loads.iter().enumerate() {
        let share = Share::of(load, &place, index);
        let lane = Rc::new(Lane::new(load.clone(), place.start, share.connections, place.thread));
        lanes.push(Rc::clone(&lane));
        if share.connections > 0 {
            let to = to.clone();
            pacing.spawn_local(async move {
                if let Err(failure) = pace(&lane, &share).await {
                    // The collector is gone only when the run is.
                    let _ = to.send(HandOver::Failed(failure));
                }
            });
        }
    }
    let clerk = tokio::task::spawn_local(hand_over(lanes.clone(), place.clone(), to.clone()));
    while pacing.join_next().await.is_some() {}
    let longest = loads.iter().map(|load| load.timeout).max().unwrap_or_default();
    let stopped = place.stop.load(Ordering::Relaxed);
    let patience = Instant::now() + if stopped { PATIENCE } else { longest + PATIENCE };
    for lane in &lanes {
        if stopped {
            lane.give_up();
        }
        // What does not end in time ends with the lane: the collector counts what is missing.
        let _ = timeout_at(patience, lane.ended()).await;
        lane.give_up();
    }
    // It loses nothing: it takes and sends without waiting in between.
    clerk.abort();
    send_tallies(&lanes, u64::MAX, &to);
    let (thread, from) = (place.thread, place.start);
    let (now, cpu) = (Instant::now(), thread_cpu());
    let _ = to.send(HandOver::Thread { thread, from, to: now, cpu, whole: true });
}

/// One thread's part of one load.
struct Share {
    connections: usize,
    /// Threads that take part in it: with few connections not all do.
    threads: usize,
    place: Place,
    load: usize,
}

impl Share {
    fn of(load: &Load, place: &Place, index: usize) -> Self {
        let connections = match load.arrivals {
            Arrivals::Open(_) => load.connections,
            Arrivals::Closed { callers } => callers,
        };
        let threads = place.threads.min(connections).max(1);
        let extra = usize::from(place.thread < connections % threads);
        let mine = if place.thread < threads { connections / threads + extra } else { 0 };
        Self { connections: mine, threads, place: place.clone(), load: index }
    }
}

async fn pace(lane: &Rc<Lane>, share: &Share) -> Result<(), Failure> {
    sleep_until(share.place.start + lane.load.start).await;
    match &lane.load.arrivals {
        Arrivals::Open(_) => pace_open(lane, share).await,
        Arrivals::Closed { .. } => {
            ask_in_turn(lane, share).await;
            Ok(())
        }
    }
}

/// Every thread walks the whole schedule and takes each request whose turn is its own, so that the
/// schedule does not depend on the number of threads.
async fn pace_open(lane: &Rc<Lane>, share: &Share) -> Result<(), Failure> {
    let Arrivals::Open(pattern) = &lane.load.arrivals else { return Ok(()) };
    let Place { thread, start, seed, ref stop, made_up_time, .. } = share.place;
    let mut alarm = if made_up_time {
        Alarm::Runtime
    } else {
        Alarm::precise().map_err(|error| Failure::from(error).within("a timer"))?
    };
    let start = start + lane.load.start;
    let most = usize::try_from(lane.load.max_requests).unwrap_or(usize::MAX);
    let length = lane.load.warm_up + lane.load.duration;
    let schedule = pattern.schedule(seed.wrapping_add(share.load as u64), length);
    let mine = schedule.take(most).skip(thread).step_by(share.threads);
    let mut in_a_row = 0;
    for offset in mine {
        let due = start + offset;
        if in_a_row == BURST {
            yield_now().await;
            in_a_row = 0;
        }
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let now = Instant::now();
            if due <= now {
                break;
            }
            let wake = due.min(now + LOOK_UP);
            alarm.until(wake).await.map_err(|error| Failure::from(error).within("a timer"))?;
            in_a_row = 0;
        }
        lane.dispatch(due);
        in_a_row += 1;
    }
    Ok(())
}

async fn ask_in_turn(lane: &Rc<Lane>, share: &Share) {
    let mut callers = JoinSet::new();
    for _ in 0..share.connections {
        let (lane, place, load) = (Rc::clone(lane), share.place.clone(), share.load);
        callers.spawn_local(async move {
            let mut link = None;
            let may_ask = || {
                Instant::now() < lane.window.end
                    && !place.stop.load(Ordering::Relaxed)
                    && place.taken[load].fetch_add(1, Ordering::Relaxed) < lane.load.max_requests
            };
            while may_ask() {
                if lane.ask_now(&mut link).await == Ending::NotConnected {
                    sleep(BACK_OFF).await;
                }
            }
        });
    }
    while callers.join_next().await.is_some() {}
}

async fn hand_over(lanes: Vec<Rc<Lane>>, place: Place, to: Sender<HandOver>) {
    let (mut from, mut cpu) = (place.start, thread_cpu());
    for number in 1_u32.. {
        let next = place.start + HAND_OVER * number;
        sleep_until(next).await;
        send_tallies(&lanes, number.into(), &to);
        let (now, used) = (Instant::now(), thread_cpu());
        let (thread, spent) = (place.thread, used.saturating_sub(cpu));
        let _ = to.send(HandOver::Thread { thread, from, to: now, cpu: spent, whole: false });
        (from, cpu) = (now, used);
    }
}

fn send_tallies(lanes: &[Rc<Lane>], number: u64, to: &Sender<HandOver>) {
    for (load, lane) in lanes.iter().enumerate() {
        let tally = Box::new(lane.tally.take());
        // The collector is gone only when the run is.
        let _ = to.send(HandOver::Tally { load, number, tally });
    }
}

/// User and system time of this thread so far.
#[cfg(target_os = "linux")]
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
fn thread_cpu() -> Duration {
    Duration::ZERO
}
