//! The instants of a pattern, one after the other. Nothing is allocated while it runs.

use std::sync::Arc;
use std::time::Duration;

use rand::RngCore;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::arrivals::profile::Profile;
use crate::arrivals::trace::Trace;

/// Instants from the start of a load, ascending, below its length.
#[derive(Clone, Debug)]
pub struct Schedule {
    source: Source,
    length: Duration,
    last: Duration,
}

#[derive(Clone, Debug)]
enum Source {
    Ticks { profile: Profile, ticks: Ticks },
    Recorded { trace: Arc<Trace>, next: usize },
}

/// Counts at which a request is due.
#[derive(Clone, Debug)]
enum Ticks {
    /// 0, 1, 2 and so on, counted and not summed up: there is no drift.
    Even { next: u64 },
    /// A Poisson stream of rate 1.
    Poisson { count: f64, random: Box<ChaCha8Rng> },
}

impl Schedule {
    pub(super) fn even(profile: Profile, length: Duration) -> Self {
        Self::new(Source::Ticks { profile, ticks: Ticks::Even { next: 0 } }, length)
    }

    pub(super) fn poisson(profile: Profile, seed: u64, length: Duration) -> Self {
        let random = Box::new(ChaCha8Rng::seed_from_u64(seed));
        Self::new(Source::Ticks { profile, ticks: Ticks::Poisson { count: 0.0, random } }, length)
    }

    pub(super) fn recorded(trace: Arc<Trace>, length: Duration) -> Self {
        Self::new(Source::Recorded { trace, next: 0 }, length)
    }

    fn new(source: Source, length: Duration) -> Self {
        Self { source, length, last: Duration::ZERO }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let instant = match &mut self.source {
            Source::Ticks { profile, ticks } => {
                let seconds = profile.instant(ticks.next());
                // Not in it either: what is not a number.
                if !(0.0..self.length.as_secs_f64()).contains(&seconds) {
                    return None;
                }
                Duration::from_nanos((seconds * 1e9).round() as u64)
            }
            Source::Recorded { trace, next } => {
                let instant = trace.offset(*next)?;
                *next += 1;
                instant
            }
        };
        // The last digit of a quotient may round either way; order must not.
        self.last = self.last.max(instant);
        (self.last < self.length).then_some(self.last)
    }
}

impl Ticks {
    fn next(&mut self) -> f64 {
        match self {
            Self::Even { next } => {
                let tick = *next as f64;
                *next += 1;
                tick
            }
            Self::Poisson { count, random } => {
                *count += exponential(random);
                *count
            }
        }
    }
}

/// An exponential variate of mean 1 from comparisons alone (von Neumann, "Various techniques used in connection with random
/// digits", 1951): exact, and without a logarithm. Runs of descending uniforms are drawn; one of odd length gives its
/// first uniform as the fraction, each of even length adds a whole.
fn exponential(random: &mut ChaCha8Rng) -> f64 {
    let mut whole = 0.0;
    loop {
        let first = random.next_u64();
        let mut last = first;
        let mut odd = true;
        loop {
            let next = random.next_u64();
            if next >= last {
                break;
            }
            last = next;
            odd = !odd;
        }
        if odd {
            return whole + (first >> 11) as f64 / (1_u64 << 53) as f64;
        }
        whole += 1.0;
    }
}
