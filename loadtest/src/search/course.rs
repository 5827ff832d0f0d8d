//! Which rate is tried next: doubling or halving until one passes and one fails, then halves of what lies between,
//! then confirmation. It decides and does nothing.
//!
//! Outcomes are noisy. A rate that failed by bad luck only makes the answer lower; one that passed by good luck is found out by
//! the confirmation, which then steps down until a rate passes every time.

use crate::search::{Options, Outcome};

/// How often a rate is tried again because the generator could not keep up: on a machine with other work that may be
/// over in a moment.
const HICCUPS: u32 = 2;

#[derive(Clone, Debug)]
pub struct Course {
    options: Options,
    /// The highest rate that passed, below all that failed.
    passed: Option<f64>,
    failed: Option<Limit>,
    /// The rate under confirmation, and how often it has passed.
    confirming: Option<(f64, u32)>,
    trials: u32,
    /// Trials in a row that said nothing about the server.
    hiccups: u32,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Bracket,
    Bisect,
    Confirm,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Try { rate: f64, phase: Phase },
    Done(End),
}

#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// None when no rate was confirmed.
    pub rate: Option<f64>,
    /// What the answer is limited by.
    pub reason: String,
}

/// The lowest rate that did not pass, and why.
#[derive(Clone, Debug)]
struct Limit {
    rate: f64,
    outcome: Outcome,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bracket => "bracket",
            Self::Bisect => "bisect",
            Self::Confirm => "confirm",
        }
    }
}

impl Course {
    pub fn new(options: Options) -> Self {
        // Finer than rates are told apart, and it would not end.
        let options = Options { precision: options.precision.max(0.001), ..options };
        Self {
            options,
            passed: None,
            failed: None,
            confirming: None,
            trials: 0,
            hiccups: 0,
            end: None,
        }
    }

    pub fn next(&self) -> Next {
        if let Some(end) = &self.end {
            return Next::Done(end.clone());
        }
        if self.trials >= self.options.most_trials {
            let reason = format!("gave up after {} trials", self.trials);
            return Next::Done(End { rate: None, reason });
        }
        if let Some((rate, times)) = self.confirming {
            return if times >= self.options.confirmations {
                Next::Done(End { rate: Some(rate), reason: self.limited_by() })
            } else {
                Next::Try { rate, phase: Phase::Confirm }
            };
        }
        let (rate, phase) = match (self.passed, &self.failed) {
            (None, None) => {
                (self.options.start.max(self.options.lowest).min(self.highest()), Phase::Bracket)
            }
            (Some(passed), None) => ((passed * 2.0).min(self.highest()), Phase::Bracket),
            (None, Some(failed)) => ((failed.rate / 2.0).max(self.options.lowest), Phase::Bracket),
            (Some(passed), Some(failed)) => (neat((passed * failed.rate).sqrt()), Phase::Bisect),
        };
        Next::Try { rate, phase }
    }

    /// What came of the rate that [`Self::next`] asked for.
    pub fn found(&mut self, rate: f64, outcome: Outcome) {
        self.trials += 1;
        if matches!(outcome, Outcome::Generator(_)) && self.hiccups < HICCUPS {
            self.hiccups += 1;
            return;
        }
        self.hiccups = 0;
        match outcome {
            Outcome::Interrupted(reason) => self.end = Some(End { rate: None, reason }),
            Outcome::Passed(_) => self.has_passed(rate),
            Outcome::Failed(_) | Outcome::Generator(_) => self.has_failed(Limit { rate, outcome }),
        }
    }

    fn has_passed(&mut self, rate: f64) {
        if let Some((_, times)) = &mut self.confirming {
            *times += 1;
            return;
        }
        self.passed = Some(rate);
        let near = |failed: &Limit| failed.rate <= rate * (1.0 + self.options.precision);
        if self.failed.as_ref().map_or(rate >= self.highest(), near) {
            self.confirming = Some((rate, 0));
        }
    }

    fn has_failed(&mut self, limit: Limit) {
        let rate = limit.rate;
        let step_down = neat(rate * (1.0 - self.options.precision)).max(self.options.lowest);
        self.failed = Some(limit);
        if rate <= self.options.lowest {
            self.end = Some(End { rate: None, reason: self.limited_by() });
        } else if self.confirming.is_some() {
            self.confirming = Some((step_down, 0));
        } else if let Some(passed) = self.passed
            && rate <= passed * (1.0 + self.options.precision)
        {
            self.confirming = Some((passed, 0));
        }
    }

    fn highest(&self) -> f64 {
        self.options.highest.max(self.options.lowest)
    }

    fn limited_by(&self) -> String {
        match &self.failed {
            None => {
                format!("no rate up to the highest allowed, {} requests/s, failed", self.highest())
            }
            Some(Limit { rate, outcome: Outcome::Generator(reason) }) => format!(
                "limited by the generator and not by the server: at {rate} requests/s {reason}"
            ),
            Some(Limit { rate, outcome }) => format!("at {rate} requests/s: {outcome}"),
        }
    }
}

/// Five digits: what nobody could measure need not be read either.
fn neat(rate: f64) -> f64 {
    let unit = 10_f64.powf(4.0 - rate.log10().floor());
    (rate * unit).round() / unit
}
