//! A rate over time, as the number of requests that are due until an instant, and back.
//!
//! Evenly spaced ticks through [`Profile::instant`] give a course without drift; a Poisson stream of rate 1 through it gives
//! the Poisson stream of that changing rate (time transformation: Çınlar, Introduction to Stochastic Processes,
//! 1975, chapter 4), exactly, without thinning.

use std::time::Duration;

use crate::arrivals::Pattern;

#[derive(Clone, Debug)]
pub(super) enum Profile {
    Flat(f64),
    Cycle { on_rate: f64, off_rate: f64, on: f64, off: f64 },
    Steps(Vec<Step>),
    Ramp { from: f64, to: f64, over: f64 },
}

/// A rate from an instant on, and the requests that were due before it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    start: f64,
    before: f64,
    rate: f64,
}

impl Profile {
    /// None of a trace, and of steps where there are none.
    pub(super) fn of(pattern: &Pattern) -> Option<Self> {
        let seconds = Duration::as_secs_f64;
        match pattern {
            Pattern::Constant { rate } | Pattern::Poisson { rate } => Some(Self::Flat(*rate)),
            Pattern::Bursty { on_rate, off_rate, on, off } => Some(Self::Cycle {
                on_rate: *on_rate,
                off_rate: *off_rate,
                on: seconds(on),
                off: seconds(off),
            }),
            Pattern::Steps(steps) => (!steps.is_empty()).then(|| Self::Steps(laid_out(steps))),
            Pattern::Ramp { from, to, over } => {
                Some(Self::Ramp { from: *from, to: *to, over: seconds(over) })
            }
            Pattern::Trace(_) => None,
        }
    }

    /// Requests that are due before this instant.
    pub(super) fn count(&self, t: f64) -> f64 {
        match self {
            Self::Flat(rate) => rate * t,
            Self::Cycle { on_rate, off_rate, on, off } => {
                let cycles = (t / (on + off)).floor();
                let rest = t - cycles * (on + off);
                cycles * (on_rate * on + off_rate * off)
                    + on_rate * rest.min(*on)
                    + off_rate * (rest - on).max(0.0)
            }
            Self::Steps(steps) => {
                let step = last_where(steps, |step| step.start <= t);
                step.before + step.rate * (t - step.start)
            }
            Self::Ramp { from, to, over } => {
                let climbing = t.min(*over);
                from * climbing
                    + (to - from) * climbing * climbing / (2.0 * over)
                    + to * (t - climbing)
            }
        }
    }

    /// When so many requests have been due. Not finite where that is never.
    pub(super) fn instant(&self, count: f64) -> f64 {
        match self {
            Self::Flat(rate) => count / rate,
            Self::Cycle { on_rate, off_rate, on, off } => {
                let (on_count, off_count) = (on_rate * on, off_rate * off);
                let cycles = (count / (on_count + off_count)).floor();
                let rest = (count - cycles * (on_count + off_count)).max(0.0);
                let within = if rest < on_count || *off_rate == 0.0 {
                    rest / on_rate
                } else {
                    on + (rest - on_count) / off_rate
                };
                cycles * (on + off) + within
            }
            Self::Steps(steps) => {
                let step = last_where(steps, |step| step.before <= count);
                step.start + (count - step.before) / step.rate
            }
            Self::Ramp { from, to, over } => {
                let climb = f64::midpoint(*from, *to) * over;
                if count >= climb {
                    over + (count - climb) / to
                } else {
                    ramp_instant(*from, *to, *over, count)
                }
            }
        }
    }
}

/// Solves `from t + (to - from) t^2 / (2 over) = count` for t, in the form that loses no digits where `from` is large or
/// both rates are nearly the same.
fn ramp_instant(from: f64, to: f64, over: f64, count: f64) -> f64 {
    if count == 0.0 {
        return 0.0;
    }
    let root = from * from + 2.0 * (to - from) / over * count;
    2.0 * count / (from + root.max(0.0).sqrt())
}

fn laid_out(steps: &[(f64, Duration)]) -> Vec<Step> {
    let (mut start, mut before) = (0.0, 0.0);
    let lay = |(rate, time): &(f64, Duration)| {
        let step = Step { start, before, rate: *rate };
        start += time.as_secs_f64();
        before += rate * time.as_secs_f64();
        step
    };
    steps.iter().map(lay).collect()
}

/// The first step begins at 0, so it serves where none does.
fn last_where(steps: &[Step], is_before: impl Fn(&Step) -> bool) -> &Step {
    &steps[steps.partition_point(is_before).saturating_sub(1)]
}
