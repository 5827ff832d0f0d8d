//! Virtual time: a heap of events, each of which may cause others. No thread, no sleep, and no clock but this one.
//!
//! The batcher is the gateway's own and is told made-up instants. What the simulation adds is what surrounds it: callers,
//! the wire, workers that sleep and wake, and runs that take as long as the curve says. One seed gives one course of events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidegate_batcher::Terms;
use tidegate_inference::Deadline;

use super::callers::Callers;
use super::crew::{Crew, Place, Turn, lock};
use super::policy::Policy;
use super::requests::{Outcome, Requests, tensor};
use super::setting::Setting;
use super::tally::Tally;
use crate::Failure;
use crate::arrivals::Schedule;

/// No caller and no timer is quicker: time must go on.
const TICK: Duration = Duration::from_micros(1);

/// Runs one policy through the setting.
///
/// # Errors
/// When the policy does not fit the setting.
pub fn simulate(setting: &Setting, policy: Policy) -> Result<Tally, Failure> {
    let rule = || policy.rule(setting.max_batch_size.get(), setting.slo);
    World::new(setting, rule)?.run()
}

/// The same with a rule of one's own for each model.
///
/// # Errors
/// When the rule cannot be made.
pub fn simulate_rule(
    setting: &Setting,
    rule: impl Fn() -> Result<Box<dyn tidegate_batcher::rule::Rule>, Failure>,
) -> Result<Tally, Failure> {
    World::new(setting, rule)?.run()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A request is due; in a closed loop, of this caller.
    Due {
        caller: Option<usize>,
    },
    /// It has passed the wire.
    Enters {
        slot: usize,
    },
    /// A worker that slept asks.
    Wakes {
        place: Place,
        sleep: u64,
    },
    RunEnds {
        place: Place,
    },
    /// The answer has passed the wire.
    Received {
        slot: usize,
    },
}

struct World<'s> {
    setting: &'s Setting,
    /// The instant that stands for zero.
    start: Instant,
    now: Duration,
    /// By time, then in the order in which they were caused.
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    caused: u64,
    schedule: Option<Schedule>,
    crews: Vec<Crew>,
    /// Shares of the models, summed up.
    shares: Vec<f64>,
    requests: Requests,
    woken: Arc<Mutex<Vec<Place>>>,
    /// When the wire's thread has done what it was given so far.
    wire_free: Duration,
    service_random: ChaCha8Rng,
    request_random: ChaCha8Rng,
    tally: Tally,
    scratch: Vec<usize>,
}

impl<'s> World<'s> {
    fn new(
        setting: &'s Setting,
        rule: impl Fn() -> Result<Box<dyn tidegate_batcher::rule::Rule>, Failure>,
    ) -> Result<Self, Failure> {
        let (start, woken) = (Instant::now(), Arc::default());
        let crew = |number| Crew::new(number, setting, rule()?, start, &woken);
        let crews = (0..setting.models.get()).map(crew).collect::<Result<_, _>>()?;
        let random = |stream| {
            let mut random = ChaCha8Rng::seed_from_u64(setting.seed);
            random.set_stream(stream);
            random
        };
        Ok(Self {
            setting,
            start,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            caused: 0,
            schedule: None,
            crews,
            shares: shares(setting),
            requests: Requests::new(),
            woken,
            wire_free: Duration::ZERO,
            // Stream 0 is that of the arrivals.
            service_random: random(1),
            request_random: random(2),
            tally: Tally::new(setting),
            scratch: Vec::new(),
        })
    }

    fn run(mut self) -> Result<Tally, Failure> {
        match &self.setting.callers {
            Callers::Open(pattern) => {
                self.schedule = Some(pattern.schedule(self.setting.seed, self.setting.length()));
                self.next_due();
            }
            Callers::Closed { callers, .. } => {
                for caller in 0..*callers {
                    self.cause(Duration::ZERO, Event::Due { caller: Some(caller) });
                }
            }
        }
        for crew in 0..self.crews.len() {
            for worker in 0..self.setting.instances.get() {
                self.take_turn((crew, worker), false)?;
            }
        }
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.now = time;
            self.happen(event)?;
            self.attend()?;
        }
        self.tally.leader = self.crews.iter().map(|crew| crew.cost).sum();
        Ok(self.tally)
    }

    fn cause(&mut self, at: Duration, event: Event) {
        self.caused += 1;
        self.events.push(Reverse((at, self.caused, event)));
    }

    fn happen(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Due { caller } => self.due(caller),
            Event::Enters { slot } => self.enter(slot),
            Event::Wakes { place, sleep } if self.crews[place.0].sleeps(place.1, sleep) => {
                self.take_turn(place, false)
            }
            Event::Wakes { .. } => Ok(()),
            Event::RunEnds { place } => self.take_turn(place, true),
            Event::Received { slot } => {
                self.received(slot);
                Ok(())
            }
        }
    }

    fn due(&mut self, caller: Option<usize>) -> Result<(), Failure> {
        let model = match caller {
            Some(caller) => caller % self.crews.len(),
            None => {
                self.next_due();
                self.draw_model()
            }
        };
        if self.now >= self.setting.length() {
            return Ok(());
        }
        let slot = self.requests.begin(self.now, caller, model);
        self.through_the_wire(slot, |slot| Event::Enters { slot })
    }

    fn next_due(&mut self) {
        if let Some(at) = self.schedule.as_mut().and_then(Iterator::next) {
            self.cause(at, Event::Due { caller: None });
        }
    }

    /// The same event at once where there is no wire to pass.
    fn through_the_wire(&mut self, slot: usize, event: fn(usize) -> Event) -> Result<(), Failure> {
        let each_way = self.setting.overheads.request / 2;
        if each_way.is_zero() {
            return self.happen(event(slot));
        }
        self.wire_free = self.wire_free.max(self.now) + each_way;
        self.cause(self.wire_free, event(slot));
        Ok(())
    }

    fn enter(&mut self, slot: usize) -> Result<(), Failure> {
        let Setting { slo, timeout, rows, .. } = *self.setting;
        let (now, priority) = (self.instant(), self.draw_priority());
        let request = *self.requests.get(slot);
        let due = self.start + request.due;
        let deadline = Deadline::after(due, timeout);
        let target = slo.map_or(deadline, |slo| Deadline::after(due, slo).min(deadline));
        let queue = &self.crews[request.crew].queue;
        // As the gateway's admission has it.
        let wait = if queue.is_empty() { None } else { queue.predicted(rows, Some(priority), now) };
        let answer = if wait.is_some_and(|wait| wait > target.left(now)) {
            None
        } else {
            let inputs = vec![tensor(request.number, rows)?];
            queue.submit(inputs, Terms { deadline, target, priority }, now).ok()
        };
        match answer {
            Some(answer) => self.requests.await_answer(slot, answer),
            None => {
                self.requests.get(slot).outcome = Some(Outcome::Refused);
                self.through_the_wire(slot, |slot| Event::Received { slot })?;
            }
        }
        Ok(())
    }

    fn take_turn(&mut self, place @ (crew, worker): Place, has_run: bool) -> Result<(), Failure> {
        let now = self.instant();
        let finished = if has_run { self.crews[crew].answer(worker, now)? } else { None };
        match self.crews[crew].turn(worker, finished, now) {
            Turn::Execute { rows, closed_by } => {
                let takes = self.setting.service.time(rows, self.now, &mut self.service_random);
                self.tally.batch(rows, closed_by, self.now, takes);
                self.cause(self.now + takes, Event::RunEnds { place });
            }
            Turn::Sleep { until: Some(until), sleep } => {
                let at = (until - self.start).max(self.now + TICK) + self.setting.overheads.wake_up;
                self.cause(at, Event::Wakes { place, sleep });
            }
            Turn::Sleep { until: None, .. } => {}
        }
        Ok(())
    }

    /// Whoever was woken gets up, and answers that have come set out.
    fn attend(&mut self) -> Result<(), Failure> {
        let woken = std::mem::take(&mut *lock(&self.woken));
        for place in woken {
            if let Some(sleep) = self.crews[place.0].woken(place.1) {
                let at = self.now + self.setting.overheads.wake_up;
                self.cause(at, Event::Wakes { place, sleep });
            }
        }
        let mut slots = std::mem::take(&mut self.scratch);
        self.requests.take_rung(&mut slots);
        for &slot in &slots {
            let outcome = self.requests.answered(slot)?;
            self.requests.get(slot).outcome = Some(outcome);
            self.through_the_wire(slot, |slot| Event::Received { slot })?;
        }
        self.scratch = slots;
        Ok(())
    }

    fn received(&mut self, slot: usize) {
        let request = self.requests.end(slot);
        let latency = self.now - request.due;
        let outcome = match request.outcome {
            Some(Outcome::Right) if latency > self.setting.timeout => Outcome::Late,
            outcome => outcome.unwrap_or(Outcome::Late),
        };
        self.tally.ended(request.due, latency, outcome);
        if let (Some(caller), Callers::Closed { pause, .. }) =
            (request.caller, &self.setting.callers)
        {
            self.cause(self.now + (*pause).max(TICK), Event::Due { caller: Some(caller) });
        }
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    fn draw_model(&mut self) -> usize {
        if self.crews.len() == 1 {
            return 0;
        }
        let drawn: f64 = self.request_random.random();
        self.shares.partition_point(|share| *share <= drawn).min(self.crews.len() - 1)
    }

    fn draw_priority(&mut self) -> tidegate_inference::Priority {
        match &self.setting.priorities[..] {
            [] => tidegate_inference::Priority::DEFAULT,
            [one] => *one,
            several => several[self.request_random.random_range(0..several.len())],
        }
    }
}

fn shares(setting: &Setting) -> Vec<f64> {
    let weights: Vec<f64> =
        (1..=setting.models.get()).map(|rank| (rank as f64).powf(-setting.zipf)).collect();
    let all: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let add = |weight: f64| {
        sum += weight / all;
        sum
    };
    weights.into_iter().map(add).collect()
}
