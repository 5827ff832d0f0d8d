//! When requests are due: schedules that do not wait for answers.
//!
//! A pattern is a rate over time and a way of ticking, even or Poisson. Ticks count in requests, the rate turns
//! counts into instants, so one short iterator serves every pattern but a recorded trace. Nothing here knows a clock: the
//! engine compares the instants with its own.
//!
//! The surprising thing: no logarithm is taken. Rounding of logarithms differs between mathematics libraries; sums,
//! products, quotients and square roots do not, so one seed gives one schedule on every machine.

mod profile;
mod schedule;
mod text;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use crate::arrivals::profile::Profile;
pub use crate::arrivals::schedule::Schedule;
pub use crate::arrivals::text::{PatternError, rate};
pub use crate::arrivals::trace::{Trace, TraceError};

/// Requests per second at most.
pub const HIGHEST_RATE: f64 = 1e6;

/// Requests per second over time. Written as `poisson:500`; [`std::str::FromStr`] checks what it reads, and a pattern that
/// was put together with rates that are no rates gives an empty schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// Evenly spaced, the first at once.
    Constant { rate: f64 },
    /// Independent of each other, as many clients together are: exponential gaps.
    Poisson { rate: f64 },
    /// Poisson at one rate and then at another, over and over. The second may be 0.
    Bursty { on_rate: f64, off_rate: f64, on: Duration, off: Duration },
    /// Evenly spaced at one rate after the other. The last one holds on.
    Steps(Vec<(f64, Duration)>),
    /// Evenly on the way from one rate to another, which then holds on. One of the two may be 0.
    Ramp { from: f64, to: f64, over: Duration },
    /// As it was recorded, once.
    Trace(Arc<Trace>),
}

impl Pattern {
    /// Every instant, from the start, at which a request is due; ascending, and below `length`.
    pub fn schedule(&self, seed: u64, length: Duration) -> Schedule {
        match (self, Profile::of(self)) {
            (Self::Poisson { .. } | Self::Bursty { .. }, Some(profile)) => {
                Schedule::poisson(profile, seed, length)
            }
            (_, Some(profile)) => Schedule::even(profile, length),
            (Self::Trace(trace), None) => Schedule::recorded(Arc::clone(trace), length),
            (_, None) => Schedule::recorded(Arc::default(), length),
        }
    }

    /// Requests per second that are due over this time, on average; 0 for no time.
    pub fn mean_rate(&self, length: Duration) -> f64 {
        let seconds = length.as_secs_f64();
        if seconds == 0.0 {
            return 0.0;
        }
        let count = match (self, Profile::of(self)) {
            (_, Some(profile)) => profile.count(seconds),
            (Self::Trace(trace), None) => trace.count_within(length) as f64,
            (_, None) => 0.0,
        };
        count / seconds
    }

    /// The same course at so many times the rate; a trace is replayed so many times as fast.
    pub fn scaled(&self, factor: f64) -> Self {
        match self {
            Self::Constant { rate } => Self::Constant { rate: rate * factor },
            Self::Poisson { rate } => Self::Poisson { rate: rate * factor },
            Self::Bursty { on_rate, off_rate, on, off } => Self::Bursty {
                on_rate: on_rate * factor,
                off_rate: off_rate * factor,
                on: *on,
                off: *off,
            },
            Self::Steps(steps) => {
                Self::Steps(steps.iter().map(|(rate, time)| (rate * factor, *time)).collect())
            }
            Self::Ramp { from, to, over } => {
                Self::Ramp { from: from * factor, to: to * factor, over: *over }
            }
            Self::Trace(trace) => Self::Trace(Arc::new(trace.faster(factor))),
        }
    }
}

#[cfg(test)]
mod tests;
