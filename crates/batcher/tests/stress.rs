//! Real threads on the whole way: several producers, several workers that take turns at the batcher, and
//! everything that can happen to a request at random: another shape or priority, too many rows for one
//! batch, a deadline that is near or past, a caller that hangs up, a queue that is full and swept, a
//! batch that fails, is dropped or is answered in halves, and the closing of the queue in the middle of it.
//!
//! Workers share the batcher as a backend's do: whoever has asked lets go of it before it sleeps, and
//! leaves a sleeper registered.
//!
//! Claimed: whoever waits is answered, with its own rows; no row runs twice, and none past its deadline; and
//! after the closing nobody is left. A seed fixes the decisions and not how the
//! threads interleave, so it finds the kind of round again and not always the fault. To begin
//! with a certain one: `TIDEGATE_STRESS_SEED=7`.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidegate_batcher::{
    Answer, Answered, Batch, BatchPolicy, Batcher, Batching, InputAxis, InputBuffers, Queue,
    RowLayout, Run, RunTimes, Step, Terms, Ticket, ViewData, queue,
};
use tidegate_inference::{
    DataType, Deadline, Error, ErrorKind, Priority, Result, Shape, Tensor, TensorData,
};

const TIME: Duration = Duration::from_secs(10);
/// Answers come in milliseconds; after so long, one was lost.
const PATIENCE: Duration = Duration::from_secs(60);
const FAR: Duration = Duration::from_secs(600);

#[test]
fn every_request_is_answered_once_and_with_its_own_rows() {
    let first = match std::env::var("TIDEGATE_STRESS_SEED") {
        Ok(seed) => seed.parse().expect("TIDEGATE_STRESS_SEED: expected a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs(),
    };
    let start = Instant::now();
    let mut fates = BTreeMap::new();
    let mut rounds = 0;
    for seed in first.. {
        println!("seed {seed}");
        for fate in Round::new(seed).run() {
            *fates.entry(fate).or_insert(0) += 1;
        }
        rounds += 1;
        if start.elapsed() > TIME {
            break;
        }
    }
    println!("{rounds} rounds: {fates:?}");
    // Every fate was met: a test in which nothing goes wrong would claim little.
    assert_eq!(fates.len(), Fate::ALL, "{fates:?}");
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Answered,
    /// Its deadline was past before a batch took it.
    Late,
    /// Its batch failed.
    Failed,
    /// Its batch was dropped.
    Dropped,
    /// Its caller did not wait.
    HungUp,
    /// There was no room.
    Refused,
}

impl Fate {
    const ALL: usize = 6;
}

/// A request with this number makes every run fail that it is part of.
const POISON: u64 = u64::MAX;

/// A row by its request and its place there.
type Row = (u64, u64);

struct Round {
    seed: u64,
    queue: Arc<Queue>,
    shift: Arc<Mutex<Shift>>,
    max_batch_size: usize,
    producers: usize,
    workers: usize,
    /// How long runs are said to take, so that waiting for company is worth something; None: the truth.
    run_time: Option<Duration>,
    requests: usize,
    /// The queue closes with this one of the accepted requests, if there are so many.
    closes_at: usize,
    accepted: AtomicUsize,
}

struct Shift {
    batcher: Batcher,
    sleepers: Vec<(usize, Waker)>,
}

/// What a worker saw.
#[derive(Default)]
struct Seen {
    /// The rows that ran, and the instant as of which their batch was formed.
    rows: Vec<(Row, Instant)>,
    largest: usize,
}

/// What a producer did.
#[derive(Default)]
struct Done {
    fates: Vec<Fate>,
    deadlines: Vec<(u64, Deadline)>,
    /// Of requests that were answered with rows.
    answered: Vec<Row>,
}

/// A request under way, and what its caller must see.
struct Call {
    request: u64,
    rows: usize,
    width: usize,
    /// Whether its deadline may pass before it runs.
    hurries: bool,
    answer: Answer,
}

impl Round {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let max_batch_size = random.random_range(1..=16);
        let batch_size = random.random_range(1..=max_batch_size);
        let delay = Duration::from_micros([0, 0, 50, 500][random.random_range(0..4)]);
        let size = |size| NonZeroUsize::new(size).unwrap();
        let policy = if random.random_bool(0.5) {
            BatchPolicy::adaptive(size(max_batch_size))
        } else {
            BatchPolicy::new(size(batch_size), size(max_batch_size), delay).unwrap()
        };
        let layout = RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] };
        let capacity = size(random.random_range(4..=64));
        let (queue, mut batcher) = queue(Batching::Rows { layout, policy }, capacity);
        let workers = random.random_range(1..=4);
        batcher.set_instances(workers);
        let (producers, requests) = (random.random_range(2..=6), random.random_range(50..400));
        Self {
            seed,
            queue,
            shift: Shift::of(batcher),
            max_batch_size,
            producers,
            workers,
            run_time: [None, Some(1), Some(20)][random.random_range(0..3)]
                .map(Duration::from_millis),
            requests,
            closes_at: random.random_range(1..=producers * requests),
            accepted: AtomicUsize::new(0),
        }
    }

    fn random(&self, role: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(role + 1);
        random
    }

    fn run(&self) -> Vec<Fate> {
        let (seen, done) = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.workers)
                .map(|worker| {
                    scope.spawn(move || self.work(worker, self.random(100 + worker as u64)))
                })
                .collect();
            let producers: Vec<_> = (0..self.producers as u64)
                .map(|producer| scope.spawn(move || self.produce(producer, self.random(producer))))
                .collect();
            let done: Vec<_> = producers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            // Also when a producer has failed: the workers must be able to leave.
            self.queue.close();
            let seen: Vec<Seen> =
                workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            (seen, done.into_iter().map(|done| done.unwrap()).collect::<Vec<Done>>())
        });
        self.check(&seen, &done);
        done.into_iter().flat_map(|done| done.fates).collect()
    }

    fn check(&self, seen: &[Seen], done: &[Done]) {
        assert!(seen.iter().all(|seen| seen.largest <= self.max_batch_size));
        let deadlines: HashMap<u64, Deadline> =
            done.iter().flat_map(|done| &done.deadlines).copied().collect();
        let mut ran = HashSet::new();
        for (row, formed) in seen.iter().flat_map(|seen| &seen.rows) {
            assert!(ran.insert(*row), "request {} ran twice, row {}", row.0, row.1);
            assert!(!deadlines[&row.0].is_past(*formed), "request {} ran past its deadline", row.0);
        }
        for row in done.iter().flat_map(|done| &done.answered) {
            assert!(ran.contains(row), "request {} was answered and row {} not run", row.0, row.1);
        }
        assert!(self.queue.is_empty(), "{} places are still taken", self.queue.len());
        let refused = self.queue.submit(vec![input(0, 1, 1)], far(), Instant::now()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
    }

    fn produce(&self, producer: u64, mut random: ChaCha8Rng) -> Done {
        let (mut done, mut calls) = (Done::default(), Vec::new());
        for number in 0..self.requests as u64 {
            let request = if random.random_bool(0.02) { POISON } else { (producer << 32) | number };
            match self.submit(request, &mut random, &mut done) {
                Ok(call) => calls.push(call),
                Err(error) if error.kind() == ErrorKind::Unavailable => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
                    done.fates.push(Fate::Refused);
                }
            }
            if calls.len() > 8 || random.random_bool(0.3) {
                done.end_one(&mut calls, &mut random);
            }
        }
        while !calls.is_empty() {
            done.end_one(&mut calls, &mut random);
        }
        done
    }

    fn submit(&self, request: u64, random: &mut ChaCha8Rng, done: &mut Done) -> Result<Call> {
        let most = if random.random_bool(0.2) { 3 * self.max_batch_size } else { 3 };
        let (rows, width) = (random.random_range(1..=most), random.random_range(1..=2));
        let priority = Priority::from_wire(random.random_range(1..=10));
        let now = Instant::now();
        let timeout = match random.random_range(0..20) {
            0 => Duration::ZERO,
            1..3 => Duration::from_micros(random.random_range(1..300)),
            _ => FAR,
        };
        let deadline = Deadline::after(now, timeout);
        let soon = Duration::from_micros(random.random_range(0..20_000));
        let terms = Terms { deadline, target: Deadline::after(now, soon).min(deadline), priority };
        let answer = self.queue.submit(vec![input(request, rows, width)], terms, now)?;
        // Whatever it forecasts, it is not to panic.
        self.queue.predicted(rows, Some(priority), now);
        done.deadlines.push((request, deadline));
        if self.accepted.fetch_add(1, Ordering::Relaxed) + 1 == self.closes_at {
            self.queue.close();
        }
        Ok(Call { request, rows, width, hurries: timeout < FAR, answer })
    }

    fn work(&self, worker: usize, random: ChaCha8Rng) -> Seen {
        let me = (worker, unparker());
        let pretended = self.run_time;
        let mut engine =
            Engine { pretended, random, buffers: InputBuffers::default(), seen: Seen::default() };
        let mut finished = None;
        loop {
            let now = Instant::now();
            let step = lock(&self.shift).turn(&me, finished.take(), now);
            match step {
                Step::Dispatch(batch) => {
                    let ticket = batch.ticket();
                    finished = Some((ticket, engine.execute(batch, now)));
                }
                Step::WaitUntil(until) => {
                    thread::park_timeout(until.saturating_duration_since(Instant::now()));
                }
                Step::Idle => thread::park(),
                Step::Closed => return engine.seen,
            }
        }
    }
}

impl Shift {
    fn of(batcher: Batcher) -> Arc<Mutex<Self>> {
        let shift = Arc::new(Mutex::new(Self { batcher, sleepers: Vec::new() }));
        let sweeping = Arc::downgrade(&shift);
        lock(&shift).batcher.on_full(move |now| {
            let Some(shift) = sweeping.upgrade() else { return false };
            let Ok(mut shift) = shift.try_lock() else { return false };
            shift.batcher.sweep(now);
            true
        });
        shift
    }

    /// As the workers of a backend take their turns.
    fn turn(&mut self, me: &(usize, Waker), finished: Option<(Ticket, Run)>, now: Instant) -> Step {
        if let Some((ticket, run)) = finished {
            self.batcher.finished(ticket, run, now);
        }
        self.sleepers.retain(|(worker, _)| *worker != me.0);
        let step = self.batcher.step(now);
        match step {
            Step::Dispatch(_) => {}
            Step::WaitUntil(_) | Step::Idle => self.sleepers.push(me.clone()),
            Step::Closed => self.sleepers.drain(..).for_each(|(_, waker)| waker.wake()),
        }
        if let Some((_, waker)) = self.sleepers.last()
            && self.batcher.poll_news(&mut Context::from_waker(waker)).is_ready()
        {
            waker.wake_by_ref();
        }
        step
    }
}

/// Inverts every value, unless chance or a poisoned request will have it otherwise.
struct Engine {
    /// How long it says that a run took.
    pretended: Option<Duration>,
    random: ChaCha8Rng,
    buffers: InputBuffers,
    seen: Seen,
}

impl Engine {
    fn execute(&mut self, batch: Batch, formed: Instant) -> Run {
        self.seen.largest = self.seen.largest.max(batch.rows());
        let views = batch.gather(&mut self.buffers).unwrap();
        let ViewData::Fixed(bytes) = &views[0].data else { panic!("fixed data") };
        let width = views[0].shape[1];
        let eights = bytes.as_chunks().0.iter();
        let values: Vec<u64> = eights.map(|eight| u64::from_le_bytes(*eight)).collect();
        drop(views);
        if values.contains(&POISON) {
            return self.execute_apart(batch);
        }
        let rows = values.chunks(2 * width).map(|row| ((row[0], row[1]), formed));
        self.seen.rows.extend(rows);
        let outputs = vec![tensor(values.iter().map(|value| !value), width)];
        match self.random.random_range(0..40) {
            0 => batch.fail(&failure()),
            1 => batch.scatter(Vec::new(), run_times()),
            2 => drop(batch),
            _ => {
                batch.scatter(outputs, run_times());
                let execution = Some(self.pretended.unwrap_or_else(|| formed.elapsed()));
                return Run { execution, ..Run::default() };
            }
        }
        Run::default()
    }

    /// Halves a batch until the poison is alone.
    fn execute_apart(&mut self, batch: Batch) -> Run {
        if batch.requests() == 1 {
            let guilty = batch.fingerprints();
            batch.fail(&failure());
            return Run { guilty, ..Run::default() };
        }
        let (first, second) = batch.halves();
        let mut guilty = Vec::new();
        for mut half in [first, second] {
            let now = Instant::now();
            if half.drop_stale(now) > 0 {
                guilty.extend(self.execute(half, now).guilty);
            }
        }
        Run { guilty, ..Run::default() }
    }
}

fn failure() -> Error {
    Error::new(ErrorKind::ModelFailed, "the model was told to fail")
}

impl Done {
    /// Any of them: callers do not wait in the order in which they came.
    fn end_one(&mut self, calls: &mut Vec<Call>, random: &mut ChaCha8Rng) {
        if calls.is_empty() {
            return;
        }
        let call = calls.swap_remove(random.random_range(0..calls.len()));
        let fate = if random.random_bool(0.15) { Fate::HungUp } else { self.wait_for(call) };
        self.fates.push(fate);
    }

    fn wait_for(&mut self, call: Call) -> Fate {
        let Call { request, rows, width, hurries, answer } = call;
        match wait(answer, request) {
            Ok(answered) => {
                assert_ne!(request, POISON, "the poison was answered with rows");
                let expected = tensor(values(request, rows, width).map(|value| !value), width);
                assert_eq!(answered.outputs(), [expected], "request {request}");
                self.answered.extend((0..rows as u64).map(|row| (request, row)));
                Fate::Answered
            }
            Err(error) => match error.kind() {
                ErrorKind::DeadlineExceeded if hurries => Fate::Late,
                ErrorKind::ModelFailed => Fate::Failed,
                ErrorKind::Internal if error.message().contains("dropped") => Fate::Dropped,
                kind => panic!("request {request} was answered with {kind:?}: {error}"),
            },
        }
    }
}

/// In each row, as often as it is wide: the request, and the row's place in it.
fn values(request: u64, rows: usize, width: usize) -> impl Iterator<Item = u64> {
    (0..rows as u64).flat_map(move |row| (0..width).flat_map(move |_| [request, row]))
}

fn input(request: u64, rows: usize, width: usize) -> Tensor {
    tensor(values(request, rows, width), width)
}

fn tensor(values: impl Iterator<Item = u64>, width: usize) -> Tensor {
    let bytes: Vec<u8> = values.flat_map(u64::to_le_bytes).collect();
    let shape = Shape::new(&[bytes.len() / 16 / width, width, 2]);
    Tensor::new("x", DataType::Uint64, shape, TensorData::Fixed(Bytes::from(bytes))).unwrap()
}

fn far() -> Deadline {
    Deadline::after(Instant::now(), FAR)
}

fn run_times() -> RunTimes {
    let now = Instant::now();
    RunTimes { dispatched: now, gathered: now, executed: now, scattered: now }
}

fn lock(shift: &Mutex<Shift>) -> MutexGuard<'_, Shift> {
    shift.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(answer: Answer, request: u64) -> Result<Answered> {
    let (waker, start) = (unparker(), Instant::now());
    let mut answer = pin!(answer);
    loop {
        if let Poll::Ready(result) = answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "request {request} was never answered");
        thread::park_timeout(PATIENCE);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn unparker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}
