//! What came of a simulated load. Only requests that were due in the recorded time count, and runs that began in it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::requests::Outcome;
use super::setting::Setting;
use crate::histogram::{Coarse, Recorded};

pub struct Tally {
    from: Duration,
    to: Duration,
    slo: Option<Duration>,
    /// Of right answers, from the time a request was due to the time its caller had the answer.
    pub latency: Recorded,
    pub right: u64,
    pub refused: u64,
    pub late: u64,
    /// Runs by their rows.
    pub batches: BTreeMap<usize, u64>,
    pub closed_by: BTreeMap<&'static str, u64>,
    /// Time of all instances in which they ran.
    pub busy: Duration,
    pub seconds: Vec<SecondTally>,
    /// Real time that the batchers' turns took, warm-up included, where it was measured; and requests of that time.
    pub leader: Option<Duration>,
    pub all_requests: u64,
}

/// Requests that were due in one second.
#[derive(Default)]
pub struct SecondTally {
    pub due: u64,
    pub right: u64,
    /// Right answers within the SLO.
    pub good: u64,
    pub latency: Coarse,
}

impl Tally {
    pub fn new(setting: &Setting) -> Self {
        Self {
            from: setting.warm_up,
            to: setting.length(),
            slo: setting.slo,
            latency: Recorded::default(),
            right: 0,
            refused: 0,
            late: 0,
            batches: BTreeMap::new(),
            closed_by: BTreeMap::new(),
            busy: Duration::ZERO,
            seconds: Vec::new(),
            leader: None,
            all_requests: 0,
        }
    }

    pub fn batch(&mut self, rows: usize, closed_by: &'static str, at: Duration, takes: Duration) {
        self.busy += (at + takes).min(self.to).saturating_sub(at.max(self.from));
        if (self.from..self.to).contains(&at) {
            *self.batches.entry(rows).or_default() += 1;
            *self.closed_by.entry(closed_by).or_default() += 1;
        }
    }

    pub fn ended(&mut self, due: Duration, latency: Duration, outcome: Outcome) {
        self.all_requests += 1;
        if !(self.from..self.to).contains(&due) {
            return;
        }
        let second = (due - self.from).as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize_with(second + 1, SecondTally::default);
        }
        let second = &mut self.seconds[second];
        second.due += 1;
        match outcome {
            Outcome::Right => {
                self.right += 1;
                self.latency.record(latency);
                second.right += 1;
                second.good += u64::from(self.slo.is_none_or(|slo| latency <= slo));
                second.latency.record(latency);
            }
            Outcome::Refused => self.refused += 1,
            Outcome::Late => self.late += 1,
        }
    }

    pub fn requests(&self) -> u64 {
        self.right + self.refused + self.late
    }

    /// Right answers within the SLO.
    pub fn good(&self) -> u64 {
        self.seconds.iter().map(|second| second.good).sum()
    }

    pub fn runs(&self) -> u64 {
        self.batches.values().sum()
    }

    pub fn rows_per_run(&self) -> f64 {
        let rows: u64 = self.batches.iter().map(|(rows, runs)| *rows as u64 * runs).sum();
        rows as f64 / self.runs() as f64
    }
}
