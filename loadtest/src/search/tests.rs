//! The search against a server that is only a formula.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::made_up;
use crate::question::Ending;

const P99: Duration = Duration::from_millis(50);

fn objective() -> Objective {
    Objective::new(vec![(0.99, P99)], 0.001)
}

/// Mean wait of a queue with one server and constant service time (Pollaczek and Khinchine), times noise.
fn queueing(capacity: f64, noise: f64, seed: u64) -> impl FnMut(Ask) -> Result<Run, Failure> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    move |ask| {
        let load = ask.rate / capacity;
        let ms = if load < 1.0 { 1.0 + 10.0 * load / (2.0 * (1.0 - load)) } else { 5000.0 };
        let ms = ms * (1.0 + noise * random.random_range(-1.0..1.0));
        let mut run = made_up::run(ask.rate, 1.0, &vec![ms; ask.rate as usize]);
        run.duration_s = run.requests as f64 / ask.rate;
        Ok(run)
    }
}

/// Where the wait of [`queueing`] without noise is 50 ms: 1 + 5 l / (1 - l) = 50.
fn knee(capacity: f64) -> f64 {
    capacity * 49.0 / 54.0
}

fn invalid(mut run: Run, reason: &str) -> Run {
    run.validity.valid = false;
    run.validity.reasons.push(reason.to_owned());
    run
}

#[test]
fn the_knee_is_found_within_the_precision() {
    for capacity in [30.0, 700.0, 12_345.0] {
        let options = Options { precision: 0.02, ..Options::default() };
        let (search, runs) = find(&objective(), &options, &mut queueing(capacity, 0.0, 1)).unwrap();
        let rate = search.rate.unwrap();
        assert!(rate <= knee(capacity) && rate >= knee(capacity) * 0.95, "{rate} of {capacity}");
        assert_eq!(search.trials.len(), runs.len());
        assert!(search.trials.len() < 25, "{}", search.trials.len());
        let phases: Vec<&str> = search.trials.iter().map(|trial| trial.phase.as_str()).collect();
        assert!(phases.ends_with(&["bisect", "confirm", "confirm", "confirm"]), "{phases:?}");
    }
}

#[test]
fn noise_may_lower_the_answer_and_hardly_raises_it() {
    for seed in 0..20 {
        let (search, _) =
            find(&objective(), &Options::default(), &mut queueing(1000.0, 0.1, seed)).unwrap();
        let rate = search.rate.unwrap();
        assert!((knee(1000.0) * 0.85..knee(1000.0) * 1.02).contains(&rate), "seed {seed}: {rate}");
    }
}

#[test]
fn a_rate_that_passed_by_luck_is_stepped_down_from() {
    let mut lucky = true;
    let mut trial = |ask: Ask| {
        let ms =
            if ask.rate > 300.0 && !(lucky && ask.phase != Phase::Confirm) { 60.0 } else { 10.0 };
        lucky &= ask.rate < 390.0;
        Ok(made_up::run(ask.rate, 100.0 / ask.rate, &[ms; 100]))
    };
    let (search, _) = find(&objective(), &Options::default(), &mut trial).unwrap();
    let rate = search.rate.unwrap();
    assert!((285.0..=300.0).contains(&rate), "{rate}");
    let failed = search.trials.iter().filter(|trial| trial.phase == "confirm" && !trial.passed);
    assert!(failed.count() >= 1);
    let last: Vec<_> = search.trials.iter().rev().take(3).collect();
    assert!(last.iter().all(|trial| trial.passed && trial.rate == rate));
}

#[test]
fn nothing_passes_where_the_lowest_rate_fails() {
    let mut trial = |ask: Ask| Ok(made_up::run(ask.rate, 100.0 / ask.rate, &[80.0; 100]));
    let (search, _) = find(&objective(), &Options::default(), &mut trial).unwrap();
    assert_eq!(search.rate, None);
    assert_eq!(search.trials.last().unwrap().rate, 1.0);
    assert_eq!(search.confidence, "at 1 requests/s: p99 80.02 ms, above 50 ms");
}

#[test]
fn all_passes_up_to_what_is_allowed() {
    let mut trial = |ask: Ask| Ok(made_up::run(ask.rate, 100.0 / ask.rate, &[8.0; 100]));
    let options = Options { highest: 5000.0, ..Options::default() };
    let (search, _) = find(&objective(), &options, &mut trial).unwrap();
    assert_eq!(search.rate, Some(5000.0));
    assert!(
        search.confidence.starts_with("no rate up to the highest allowed, 5000 requests/s, failed")
    );
    assert_eq!(search.trials.iter().filter(|trial| trial.phase == "confirm").count(), 3);
}

#[test]
fn the_generators_limit_is_told_as_such() {
    let mut trial = |ask: Ask| {
        let run = made_up::run(ask.rate, 100.0 / ask.rate, &[8.0; 100]);
        if ask.rate <= 900.0 {
            return Ok(run);
        }
        let slow = made_up::run(ask.rate, 1.0, &vec![60.0; ask.rate as usize]);
        Ok(invalid(slow, "the generator was saturated"))
    };
    let (search, _) = find(&objective(), &Options::default(), &mut trial).unwrap();
    assert!((850.0..=900.0).contains(&search.rate.unwrap()));
    assert!(search.trials.iter().all(|trial| trial.rate <= 1600.0));
    assert!(
        search.confidence.starts_with("limited by the generator and not by the server: at 9"),
        "{}",
        search.confidence
    );
}

#[test]
fn a_hiccup_of_the_generator_is_tried_again_and_one_within_the_limits_is_no_matter() {
    let mut server = queueing(1000.0, 0.0, 1);
    let undisturbed = find(&objective(), &Options::default(), &mut server).unwrap().0.rate;
    let found = find(&objective(), &Options::default(), &mut |ask| {
        let run = server(ask)?;
        Ok(match ask.index {
            1 => invalid(run, "late, and within the limits"),
            2 => {
                let slow = made_up::run(ask.rate, 1.0, &vec![60.0; ask.rate as usize]);
                invalid(slow, "late, and not")
            }
            _ => run,
        })
    });
    assert_eq!(found.unwrap().0.rate, undisturbed);
}

#[test]
fn an_interrupted_trial_ends_the_search() {
    let mut trial = |ask: Ask| {
        let run = made_up::run(ask.rate, 100.0 / ask.rate, &[8.0; 100]);
        let interrupted = ask.index == 2;
        let mut run = if interrupted { invalid(run, "interrupted before its end") } else { run };
        run.validity.interrupted = interrupted;
        Ok(run)
    };
    let (search, runs) = find(&objective(), &Options::default(), &mut trial).unwrap();
    assert_eq!((search.rate, runs.len()), (None, 3));
    assert_eq!(search.confidence, "interrupted before its end");
}

#[test]
fn a_search_that_finds_no_end_gives_up() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut trial = |ask: Ask| {
        let ms = if ask.phase == Phase::Confirm && random.random() { 60.0 } else { 10.0 };
        Ok(made_up::run(ask.rate, 100.0 / ask.rate, &[ms; 100]))
    };
    let options =
        Options { confirmations: 50, most_trials: 40, precision: 0.001, ..Options::default() };
    let (search, _) = find(&objective(), &options, &mut trial).unwrap();
    assert_eq!((search.rate, search.trials.len()), (None, 40));
    assert_eq!(search.confidence, "gave up after 40 trials");
}

#[test]
fn a_failed_trial_says_what_failed() {
    let judged = |run: &Run| objective().judge(100.0, run);
    let good = || made_up::run(100.0, 10.0, &[10.0; 1000]);
    assert_eq!(judged(&good()), Outcome::Passed("p99 10.00 ms, errors 0.000 %".to_owned()));

    let mut refused = good();
    refused.endings.insert(Ending::Refused, made_up::ending(2));
    refused.requests += 2;
    assert_eq!(judged(&refused), Outcome::Failed("errors 0.200 %, above 0.1 %".to_owned()));

    let mut unsent = good();
    unsent.endings.insert(Ending::NotSent, made_up::ending(50));
    unsent.requests += 50;
    assert!(judged(&unsent).to_string().contains("50 of 1050 requests could not be sent"));

    let short = made_up::run(100.0, 10.0, &[10.0; 600]);
    assert_eq!(
        judged(&short),
        Outcome::Failed("only 60.000 requests/s were due in 10 s".to_owned())
    );

    let silent = invalid(made_up::run(100.0, 10.0, &[]), "none was right");
    assert_eq!(
        judged(&silent),
        Outcome::Failed("none of 0 requests was answered rightly".to_owned())
    );
}

#[test]
fn the_validity_line_counts_samples() {
    let (search, _) =
        find(&objective(), &Options::default(), &mut queueing(1000.0, 0.0, 1)).unwrap();
    let line = &search.confidence;
    assert!(
        line.contains("too few by MLPerf's rule for p99 at 99 % confidence (270336)"),
        "{line}"
    );
    assert!(line.contains("would put the p99 between "), "{line}");
}

#[test]
fn objectives_and_shares_read_well() {
    let limits = Limits {
        p50: Some(Duration::from_micros(2500)),
        p999: Some(Duration::from_millis(50)),
        max_errors: 0.001,
        ..Limits::default()
    };
    assert_eq!(limits.objective().to_string(), "p50 <= 2.5 ms, p99.9 <= 50 ms, errors <= 0.1 %");
    assert_eq!(share("0.1%"), Ok(0.001));
    assert_eq!(share("0"), Ok(0.0));
    for bad in ["", "x", "-1%", "101%", "NaN", "inf"] {
        assert!(share(bad).is_err(), "{bad}");
    }
}
