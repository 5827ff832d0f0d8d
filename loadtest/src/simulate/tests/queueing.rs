//! Poisson arrivals at one instance, of which the mean wait is known exactly.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use tidegate_batcher::rule::{Decision, Ended, Rule, Situation};
use tidegate_inference::CloseReason;

use super::*;

/// Long enough for three per cent or so at a load of 0.9.
const LONG: Duration = Duration::from_secs(1500);

/// One row at a time, each 10 ms: M/D/1.
fn md1(load: f64) -> Setting {
    let one = NonZeroUsize::MIN;
    let queue_size = NonZeroUsize::new(100_000).unwrap();
    let setting = setting("1=10ms", &format!("poisson:{}", load * 100.0));
    Setting { max_batch_size: one, queue_size, duration: LONG, ..setting }
}

/// Milliseconds.
fn mean_wait(tally: &Tally, service: f64) -> f64 {
    tally.latency.mean_ms() - service
}

/// Pollaczek and Khinchine: the mean wait, in services.
fn pollaczek_khinchine(load: f64) -> f64 {
    load / (2.0 * (1.0 - load))
}

#[test]
fn one_row_at_a_time_waits_as_pollaczek_and_khinchine_say() {
    for policy in ["adaptive", "eager"] {
        for load in [0.5, 0.8, 0.9] {
            let tally = simulate(&md1(load), policy);
            let ratio = mean_wait(&tally, 10.0) / (pollaczek_khinchine(load) * 10.0);
            assert!((0.95..1.05).contains(&ratio), "{policy} at {load}: {ratio}");
            let busy = tally.busy.as_secs_f64() / LONG.as_secs_f64();
            assert!((busy / load - 1.0).abs() < 0.02, "{policy} at {load}: {busy}");
        }
    }
}

/// Lets the instance stand idle for a millisecond before each run.
#[derive(Default)]
struct Idler {
    free: Option<Instant>,
}

impl Rule for Idler {
    fn decide(&mut self, situation: &Situation<'_>) -> Decision {
        let Situation { now, oldest, limit, .. } = *situation;
        let until = self.free.map_or(oldest, |free| free.max(oldest)) + MS;
        match now < until {
            true => Decision::Wait { until, rows: 1000 },
            false => Decision::Go { rows: limit, why: CloseReason::Delay },
        }
    }

    fn ended(&mut self, run: Ended) {
        self.free = Some(run.at);
    }
}

/// The negative control: the bound above is one that a rule can miss.
#[test]
fn a_rule_that_idles_waits_longer_than_that() {
    for load in [0.5, 0.8, 0.9] {
        let tally = with_rule(&md1(load), Idler::default);
        let ratio = mean_wait(&tally, 10.0) / (pollaczek_khinchine(load) * 10.0);
        assert!(ratio > 1.05, "at {load}: {ratio}");
    }
}

/// A run takes 10 ms, whatever its size, and takes everybody who waits. Whoever comes while it runs waits for the half of it
/// on average; nobody else waits. Between two runs there is a pause, of 1/rate on average, only if nobody came during the
/// first, with probability exp(-rate T). So the wait is T/2 times the share of time that is busy.
#[test]
fn batches_without_a_limit_wait_for_half_of_the_busy_time() {
    for load in [0.3, 1.0, 5.0] {
        let setting = Setting {
            max_batch_size: NonZeroUsize::new(1000).unwrap(),
            duration: LONG / 2,
            ..setting("1=10ms,1000=10ms", &format!("poisson:{}", load * 100.0))
        };
        let tally = simulate(&setting, "eager");
        let busy = load / (load + f64::exp(-load));
        let ratio = mean_wait(&tally, 10.0) / (busy * 5.0);
        assert!((0.95..1.05).contains(&ratio), "at {load}: {ratio}");
    }
}

#[test]
fn the_variation_of_service_times_lengthens_the_wait_as_it_should() {
    let load = 0.7;
    let mut setting = md1(load);
    setting.service.noise = "lognormal:1".parse().unwrap();
    let tally = simulate(&setting, "eager");
    // Pollaczek and Khinchine with a squared variation of 1: twice the wait of constant times.
    let ratio = mean_wait(&tally, 10.0) / (2.0 * pollaczek_khinchine(load) * 10.0);
    assert!((0.93..1.07).contains(&ratio), "{ratio}");
}
