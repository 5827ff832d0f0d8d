//! When requests are due: schedules that do not wait for answers.

use std::time::Duration;

/// Requests per second over time.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// Evenly spaced.
    Constant { rate: f64 },
}

impl Pattern {
    /// Every instant, from the start, at which a request is due; ascending, and below `length`.
    pub fn schedule(&self, seed: u64, length: Duration) -> Schedule {
        let _ = (seed, length);
        Schedule {}
    }
}

pub struct Schedule {}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        None
    }
}
