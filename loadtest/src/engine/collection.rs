//! Gathers what the generator's threads hand over into one record per load.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::generator::HandOver;
use super::tally::Tally;
use crate::Failure;
use crate::figures::{LoadProgress, Progress};
use crate::histogram::Recorded;
use crate::load::Load;
use crate::question::Ending;

pub struct Collection {
    start: Instant,
    loads: Vec<Collected>,
    /// Between the first recorded instant of any load and the last.
    recorded: (Instant, Instant),
    threads: BTreeMap<usize, Account>,
    failure: Option<Failure>,
}

/// All of one load so far.
#[derive(Default)]
pub struct Collected {
    pub total: Tally,
    /// From the start of the recorded time to the last end of a request.
    pub lasted: Duration,
    /// The last second that some thread handed over, and the one before, which all have.
    latest: LastSecond,
    complete: LastSecond,
}

#[derive(Default)]
struct LastSecond {
    number: u64,
    right: u64,
    latency: Recorded,
}

/// A thread's CPU time over wall time.
#[derive(Clone, Copy, Default)]
struct Account {
    cpu: Duration,
    wall: Duration,
}

impl Collection {
    pub fn new(loads: &[Load], start: Instant) -> Self {
        let from = loads.iter().map(|load| load.start + load.warm_up).min().unwrap_or_default();
        let to = loads.iter().map(|load| load.start + load.warm_up + load.duration).max();
        Self {
            start,
            loads: loads.iter().map(|_| Collected::default()).collect(),
            recorded: (start + from, start + to.unwrap_or_default()),
            threads: BTreeMap::new(),
            failure: None,
        }
    }

    pub fn recorded(&self) -> (Instant, Instant) {
        self.recorded
    }

    pub fn add(&mut self, hand_over: HandOver) {
        match hand_over {
            HandOver::Tally { load, number, tally } => self.loads[load].add(number, *tally),
            HandOver::Thread { thread, from, to, cpu, whole } => {
                let account = self.threads.entry(thread).or_default();
                let middle = from + (to - from) / 2;
                let counts = (self.recorded.0..self.recorded.1).contains(&middle);
                // A run of less than a second has no account but the whole.
                if whole && account.wall.is_zero() {
                    *account = Account { cpu, wall: to - from };
                } else if !whole && counts {
                    account.cpu += cpu;
                    account.wall += to - from;
                }
            }
            HandOver::Failed(failure) => self.failure = Some(failure),
        }
    }

    pub fn progress(&self, loads: &[Load], now: Instant) -> Progress {
        let of = |(load, collected): (&Load, &Collected)| LoadProgress {
            name: load.name.clone(),
            warming_up: now < self.start + load.start + load.warm_up,
            ..collected.progress()
        };
        Progress {
            elapsed: now.saturating_duration_since(self.start),
            total: loads
                .iter()
                .map(|load| load.start + load.warm_up + load.duration)
                .max()
                .unwrap_or_default(),
            loads: loads.iter().zip(&self.loads).map(of).collect(),
        }
    }

    /// What each load came to, and each thread's share of a core.
    ///
    /// # Errors
    /// When a thread could not do its work.
    pub fn finish(self, loads: &[Load]) -> Result<(Vec<Collected>, Vec<f64>), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let share = |account: &Account| {
            account.cpu.as_secs_f64() / account.wall.as_secs_f64().max(f64::MIN_POSITIVE)
        };
        let shares = self.threads.values().map(share).collect();
        let mut collected = self.loads;
        for (load, collected) in loads.iter().zip(&mut collected) {
            collected.count_the_missing(load);
            let from = self.start + load.start + load.warm_up;
            let last = collected.total.last_ended.map(|last| last.saturating_duration_since(from));
            collected.lasted = last.unwrap_or_default();
        }
        Ok((collected, shares))
    }
}

impl Collected {
    fn add(&mut self, number: u64, tally: Tally) {
        if number > self.latest.number {
            self.complete = std::mem::take(&mut self.latest);
            self.latest.number = number;
        }
        self.latest.right += tally.right;
        self.latest.latency.add(&tally.recorded.corrected);
        self.total.add(tally);
    }

    fn progress(&self) -> LoadProgress {
        let errors = self.total.recorded.endings.iter().filter(|(ending, _)| ending.is_error());
        let counted = errors.map(|(ending, tally)| (*ending, tally.latency.len()));
        let latency = &self.complete.latency;
        let at = |quantile| (!latency.is_empty()).then(|| latency.ms(quantile));
        LoadProgress {
            due: self.total.due,
            right: self.total.right,
            errors: self.total.errors,
            worst: counted.max_by_key(|(_, count)| *count),
            rate: self.complete.right as f64,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            in_flight: self.total.due - self.total.ended,
            ..LoadProgress::default()
        }
    }

    /// A request that never came to an end, against all timeouts, is not forgotten: it timed out.
    fn count_the_missing(&mut self, load: &Load) {
        let missing = self.total.due - self.total.ended;
        if missing > 0 {
            let tally = self.total.recorded.endings.entry(Ending::TimedOut).or_default();
            for _ in 0..missing {
                tally.latency.record(load.timeout);
            }
            tally.example.get_or_insert("it had not ended when the run did".to_owned());
        }
    }
}
