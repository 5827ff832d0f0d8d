//! One model: its queue, its batcher, and workers without threads. They take turns at the batcher exactly as the gateway's
//! do (`crates/backend/src/leadership.rs` has the protocol and its reasons): whoever has asked registers a sleeper before
//! it lets go, itself or the one that fell asleep last, and a lone request wakes one of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use tidegate_batcher::rule::Rule;
use tidegate_batcher::{
    Batch, BatchPolicy, Batcher, Batching, InputAxis, InputBuffers, Queue, RowLayout, Run,
    RunTimes, Step, Ticket, ViewData, queue_with_rule,
};
use tidegate_inference::{Tensor, TensorData};

use super::setting::Setting;
use crate::Failure;

/// Which worker of which crew.
pub type Place = (usize, usize);

pub struct Crew {
    pub queue: Arc<Queue>,
    batcher: Arc<Mutex<Batcher>>,
    workers: Vec<Worker>,
    /// The last one fell asleep last.
    sleepers: Vec<usize>,
    buffers: InputBuffers,
    /// Real time that the turns took, where somebody asked.
    pub cost: Option<Duration>,
}

struct Worker {
    waker: Waker,
    running: Option<Running>,
    /// Of its present sleep, or of the last one; timers and wake-ups of earlier ones are void.
    sleep: u64,
    is_waking: bool,
    /// It was woken while it did not sleep: the next sleep ends at once, as a parked thread's does.
    has_token: bool,
}

struct Running {
    batch: Batch,
    dispatched: Instant,
}

/// What a worker does after its turn.
pub enum Turn {
    Execute {
        rows: usize,
        closed_by: &'static str,
    },
    /// Until the instant, if there is one.
    Sleep {
        until: Option<Instant>,
        sleep: u64,
    },
}

/// Notes who was woken.
struct Bed {
    place: Place,
    woken: Arc<Mutex<Vec<Place>>>,
}

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        lock(&self.woken).push(self.place);
    }
}

impl Crew {
    pub fn new(
        number: usize,
        setting: &Setting,
        rule: Box<dyn Rule>,
        start: Instant,
        woken: &Arc<Mutex<Vec<Place>>>,
    ) -> Result<Self, Failure> {
        let layout = RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] };
        let policy = BatchPolicy::adaptive(setting.max_batch_size);
        let batching = Batching::Rows { layout, policy };
        let (queue, mut batcher) = queue_with_rule(batching, setting.queue_size, rule, start);
        let instances = setting.instances.get();
        batcher.set_instances(instances);
        if let Some(believed) = &setting.believed {
            let points: Vec<_> = believed.points().collect();
            batcher.seed(&[super::requests::tensor(0, setting.rows)?], &points, start);
        }
        let batcher = Arc::new(Mutex::new(batcher));
        let sweeping = Arc::downgrade(&batcher);
        lock(&batcher).on_full(move |now| {
            let Some(batcher) = sweeping.upgrade() else { return false };
            lock(&batcher).sweep(now);
            true
        });
        let worker = |worker| Worker {
            waker: Arc::new(Bed { place: (number, worker), woken: Arc::clone(woken) }).into(),
            running: None,
            sleep: 0,
            is_waking: false,
            has_token: false,
        };
        Ok(Self {
            queue,
            batcher,
            workers: (0..instances).map(worker).collect(),
            sleepers: Vec::new(),
            buffers: InputBuffers::default(),
            cost: setting.cost.then_some(Duration::ZERO),
        })
    }

    /// A worker asks what to do, after it has told how its last batch went.
    pub fn turn(&mut self, worker: usize, finished: Option<(Ticket, Run)>, now: Instant) -> Turn {
        let began = self.cost.map(|_| Instant::now());
        let step = {
            let mut batcher = lock(&self.batcher);
            if let Some((ticket, run)) = finished {
                batcher.finished(ticket, run, now);
            }
            self.sleepers.retain(|sleeper| *sleeper != worker);
            let step = batcher.step(now);
            if !matches!(step, Step::Dispatch(_)) {
                self.sleepers.push(worker);
            }
            if let Some(last) = self.sleepers.last() {
                let waker = &self.workers[*last].waker;
                if batcher.poll_news(&mut Context::from_waker(waker)).is_ready() {
                    waker.wake_by_ref();
                }
            }
            step
        };
        if let (Some(cost), Some(began)) = (&mut self.cost, began) {
            *cost += began.elapsed();
        }
        let state = &mut self.workers[worker];
        state.sleep += 1;
        state.is_waking = false;
        let until = match step {
            Step::Dispatch(batch) => {
                let (rows, closed_by) = (batch.rows(), batch.closed_by().as_str());
                state.running = Some(Running { batch, dispatched: now });
                return Turn::Execute { rows, closed_by };
            }
            Step::WaitUntil(instant) => Some(instant),
            Step::Idle | Step::Closed => None,
        };
        let until = if std::mem::take(&mut state.has_token) { Some(now) } else { until };
        Turn::Sleep { until, sleep: state.sleep }
    }

    /// Somebody woke this worker. Answers with the sleep that ends, if one does.
    pub fn woken(&mut self, worker: usize) -> Option<u64> {
        let state = &mut self.workers[worker];
        if state.running.is_some() {
            state.has_token = true;
            return None;
        }
        (!std::mem::replace(&mut state.is_waking, true)).then_some(state.sleep)
    }

    /// Whether the worker still sleeps the sleep that a timer or a wake-up was for.
    pub fn sleeps(&self, worker: usize, sleep: u64) -> bool {
        let state = &self.workers[worker];
        state.running.is_none() && state.sleep == sleep
    }

    /// Its run is over: every member is answered with its own rows, as a model that changes nothing would.
    pub fn answer(
        &mut self,
        worker: usize,
        now: Instant,
    ) -> Result<Option<(Ticket, Run)>, Failure> {
        let Some(Running { batch, dispatched }) = self.workers[worker].running.take() else {
            return Ok(None);
        };
        let mut outputs = Vec::with_capacity(1);
        let views = batch.gather(&mut self.buffers);
        for view in views.map_err(|error| Failure::new(error.message()))? {
            let ViewData::Fixed(bytes) = view.data else { continue };
            let data = TensorData::Fixed(bytes.to_vec().into());
            let output = Tensor::new("y", view.datatype, view.shape.clone(), data);
            outputs.push(output.map_err(|error| Failure::new(error.message()))?);
        }
        let ticket = batch.ticket();
        batch.scatter(
            outputs,
            RunTimes { dispatched, gathered: dispatched, executed: now, scattered: now },
        );
        let run = Run { execution: Some(now - dispatched), ..Run::default() };
        Ok(Some((ticket, run)))
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
