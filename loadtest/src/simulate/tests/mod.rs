//! The simulator against what is known without it: closed forms of queueing theory, and rules whose behaviour is plain.

mod queueing;
mod rules;

use std::time::Duration;

use tidegate_batcher::rule::Rule;

use super::policy::Policy;
use super::setting::{Overheads, Setting};
use super::tally::Tally;
use super::world::simulate_rule;

const MS: Duration = Duration::from_millis(1);

/// A weight-bound model on one core, as it was measured.
const HEAVY: &str = "1=9.8ms,2=10.5ms,4=11.2ms,8=13.9ms,16=15.8ms,32=24.9ms,64=43.5ms";

fn setting(curve: &str, callers: &str) -> Setting {
    Setting::plain(curve.parse().unwrap(), callers.parse().unwrap())
}

fn simulate(setting: &Setting, policy: &str) -> Tally {
    super::simulate(setting, policy.parse::<Policy>().unwrap()).unwrap()
}

fn with_rule<R: Rule + 'static>(setting: &Setting, rule: impl Fn() -> R) -> Tally {
    simulate_rule(setting, || Ok(Box::new(rule()))).unwrap()
}

/// A wire and threads as they are on this machine, roughly.
fn usual_overheads() -> Overheads {
    Overheads { request: Duration::from_micros(40), wake_up: Duration::from_micros(20) }
}
