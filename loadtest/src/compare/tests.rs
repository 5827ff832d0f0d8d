//! Comparisons of reports that nobody measured, so that the truth is known.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::figures::{Goodput, Run};
use crate::made_up;
use crate::question::Ending;

fn options() -> Options {
    let bootstrap = Bootstrap { confidence: 0.95, resamples: 500, seed: 1 };
    Options { allow_invalid: false, bootstrap }
}

/// Nearly normal, mean 0, deviation 1.
fn noise(random: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
}

/// A run whose latencies are all about `ms` and whose throughput is about `rate`, and seconds to match.
fn run(repeat: usize, rate: f64, ms: f64, random: &mut ChaCha8Rng) -> Run {
    let mut run = made_up::run(rate, 20.0, &[ms; 50]);
    run.repeat = repeat;
    run.throughput = rate;
    run.goodput = Some(Goodput { slo_ms: 50.0, rate, share: 1.0 });
    run.server.cpu_us_per_request = Some(ms);
    run.series = (0..20)
        .map(|second| {
            let wobble = 1.0 + 0.05 * noise(random);
            made_up::second(second, (rate * wobble) as u64, ms * wobble, ms * 2.0 * wobble)
        })
        .collect();
    run
}

/// Repeats with 3 % of noise about these means.
fn repeats(count: usize, rate: f64, ms: f64, random: &mut ChaCha8Rng) -> Report {
    let runs = (0..count).map(|repeat| {
        let (rate, ms) = (rate * (1.0 + 0.03 * noise(random)), ms * (1.0 + 0.03 * noise(random)));
        let mut run = run(repeat, rate, ms, random);
        run.arrivals.pattern = "poisson:100".to_owned();
        run
    });
    made_up::report(runs.collect())
}

fn figure<'c>(comparison: &'c Comparison, name: &str) -> &'c Compared {
    comparison.loads[0].figures.iter().find(|compared| compared.figure == name).unwrap()
}

/// At least nine of ten seeded trials have this verdict on each of these figures.
fn assert_mostly(
    trials: u64,
    names: &[&str],
    verdict: &Verdict,
    trial: impl Fn(&mut ChaCha8Rng) -> Comparison,
) {
    let comparisons: Vec<Comparison> =
        (0..trials).map(|seed| trial(&mut ChaCha8Rng::seed_from_u64(seed))).collect();
    for name in names {
        let hits =
            comparisons.iter().filter(|comparison| figure(comparison, name).verdict == *verdict);
        let hits = hits.count() as u64;
        assert!(10 * hits >= 9 * trials, "{name}: {hits} of {trials}");
    }
}

#[test]
fn what_is_alike_is_called_noise() {
    for (count_a, count_b) in [(5, 5), (8, 8), (5, 7)] {
        let trial = |random: &mut ChaCha8Rng| {
            let (a, b) =
                (repeats(count_a, 100.0, 10.0, random), repeats(count_b, 100.0, 10.0, random));
            compare(&a, &b, &options()).unwrap()
        };
        assert_mostly(40, &["p99", "throughput"], &Verdict::Noise, trial);
    }
}

#[test]
fn what_is_alike_is_called_noise_by_its_seconds_too() {
    let trial = |random: &mut ChaCha8Rng| {
        let one = |random: &mut ChaCha8Rng| made_up::report(vec![run(0, 100.0, 10.0, random)]);
        compare(&one(random), &one(random), &options()).unwrap()
    };
    assert_mostly(40, &["p50", "throughput"], &Verdict::Noise, trial);
}

#[test]
fn a_shift_of_a_tenth_is_found() {
    let trial = |random: &mut ChaCha8Rng| {
        let (a, b) = (repeats(6, 100.0, 10.0, random), repeats(6, 110.0, 9.0, random));
        compare(&a, &b, &options()).unwrap()
    };
    assert_mostly(
        20,
        &["p99", "throughput", "goodput", "CPU per request"],
        &Verdict::BIsBetter,
        trial,
    );
}

#[test]
fn higher_rates_and_lower_latencies_are_better() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (slow, fast) = (repeats(5, 100.0, 20.0, &mut random), repeats(5, 200.0, 10.0, &mut random));
    let names = ["throughput", "goodput", "p50", "p90", "p99", "p99.9", "CPU per request"];
    let (there, back) =
        (compare(&slow, &fast, &options()).unwrap(), compare(&fast, &slow, &options()).unwrap());
    for name in names {
        assert_eq!(figure(&there, name).verdict, Verdict::BIsBetter, "{name}");
        assert_eq!(figure(&back, name).verdict, Verdict::BIsWorse, "{name}");
    }
    let p99 = figure(&there, "p99");
    let span = p99.interval.unwrap();
    assert!((p99.change - 0.5).abs() < 0.05, "{}", p99.change);
    assert!(span.low < p99.change && p99.change < span.high);
    assert!(p99.words.starts_with("B is better: p99 0."), "{}", p99.words);
    assert_eq!(p99.basis, "5 pairs");
}

#[test]
fn pairs_find_what_drifting_repeats_would_hide() {
    // The machine slows down from repeat to repeat by far more than B differs from A.
    let report = |factor: f64| {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let drifting = |repeat: usize, random: &mut ChaCha8Rng| {
            run(repeat, 100.0, (10.0 + 3.0 * repeat as f64) * factor, random)
        };
        made_up::report((0..6).map(|repeat| drifting(repeat, &mut random)).collect())
    };
    let (a, b) = (report(1.0), report(1.05));
    assert_eq!(figure(&compare(&a, &b, &options()).unwrap(), "p99").verdict, Verdict::BIsWorse);
    let mut renumbered = b;
    for run in &mut renumbered.runs {
        run.repeat += 1;
    }
    let unpaired = compare(&a, &renumbered, &options()).unwrap();
    assert_eq!(figure(&unpaired, "p99").verdict, Verdict::Noise);
    assert_eq!(figure(&unpaired, "p99").basis, "6 and 6 runs");
}

#[test]
fn errors_are_compared_by_their_difference() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let a = repeats(5, 100.0, 10.0, &mut random);
    let mut b = repeats(5, 100.0, 10.0, &mut random);
    let errors = |comparison: &Comparison| figure(comparison, "errors").clone();
    let none = errors(&compare(&a, &b, &options()).unwrap());
    assert_eq!((none.verdict, none.change), (Verdict::Noise, 0.0));
    for run in &mut b.runs {
        run.endings.insert(Ending::Refused, made_up::ending(5 + run.repeat as u64));
        run.requests = 100;
    }
    let some = errors(&compare(&a, &b, &options()).unwrap());
    assert_eq!((some.verdict, some.change), (Verdict::BIsWorse, 7.0));
    assert!(some.words.starts_with("B is worse: errors +7.000 points ("), "{}", some.words);
}

#[test]
fn one_run_each_is_compared_by_seconds_where_there_are_some() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let a = made_up::report(vec![run(0, 100.0, 10.0, &mut random)]);
    let b = made_up::report(vec![run(0, 150.0, 20.0, &mut random)]);
    let comparison = compare(&a, &b, &options()).unwrap();
    assert_eq!(figure(&comparison, "p99").verdict, Verdict::BIsWorse);
    assert_eq!(figure(&comparison, "throughput").verdict, Verdict::BIsBetter);
    assert_eq!(figure(&comparison, "p99").basis, "seconds of 1 and 1 runs (of the median second)");
    let told = figure(&comparison, "p99.9").verdict.to_string();
    assert_eq!(told, "cannot tell: too few runs (1 and 1 runs); 5 on each side tell");
    assert!(table::table(&comparison).contains("Weak: fewer than 5 runs"));
}

#[test]
fn a_value_of_zero_has_no_ratio() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let a = repeats(5, 100.0, 10.0, &mut random);
    let mut b = a.clone();
    b.runs[2].throughput = 0.0;
    let comparison = compare(&a, &b, &options()).unwrap();
    let told = figure(&comparison, "throughput").verdict.to_string();
    assert_eq!(told, "cannot tell: a value is 0");
    assert!(serde_json::to_string(&comparison).is_ok());
}

#[test]
fn invalid_runs_are_refused_unless_allowed() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let a = repeats(5, 100.0, 10.0, &mut random);
    let mut b = a.clone();
    b.runs[3].validity.valid = false;
    b.runs[3].validity.reasons.push("the generator was saturated".to_owned());
    let error = compare(&a, &b, &options()).unwrap_err().to_string();
    assert_eq!(
        error,
        "B, run \"load\", repeat 3 is invalid: the generator was saturated; \
         invalid runs are compared only with --allow-invalid"
    );
    let allowed = compare(&a, &b, &Options { allow_invalid: true, ..options() }).unwrap();
    assert_eq!(
        allowed.warnings,
        ["B, run \"load\", repeat 3 is invalid: the generator was saturated"]
    );
}

#[test]
fn what_differs_besides_is_warned_of() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let a = repeats(5, 100.0, 10.0, &mut random);
    let mut b = a.clone();
    b.machine.cores = 64;
    for run in &mut b.runs {
        run.arrivals.pattern = "constant:100".to_owned();
        run.duration_s = 60.0;
    }
    let warnings = compare(&a, &b, &options()).unwrap().warnings.join("\n");
    for part in [
        "machines differ",
        "(64 cores)",
        "arrivals differ: A poisson:100, B constant:100",
        "durations differ: A 20 s, B 60 s",
    ] {
        assert!(warnings.contains(part), "{warnings}");
    }
}

#[test]
fn two_targets_in_one_report_are_compared_within() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let a = repeats(5, 100.0, 10.0, &mut random);
    let mut b = repeats(5, 100.0, 8.0, &mut random);
    for run in &mut b.runs {
        run.target = "http://127.0.0.1:2/v2/models/m".to_owned();
    }
    let interleaved: Vec<Run> =
        a.runs.iter().zip(&b.runs).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    let comparison = compare_within(&made_up::report(interleaved), &options()).unwrap();
    assert_eq!(comparison.loads[0].name, "load");
    assert_eq!(comparison.loads[0].b, "B (http://127.0.0.1:2/v2/models/m)");
    assert!(comparison.loads[0].paired);
    assert_eq!(figure(&comparison, "p50").verdict, Verdict::BIsBetter);

    let error = compare_within(&a, &options()).unwrap_err().to_string();
    assert!(
        error.starts_with("expected two targets in the one report, found 1: http://"),
        "{error}"
    );
}

#[test]
fn loads_are_compared_by_name() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut a = repeats(2, 100.0, 10.0, &mut random);
    a.runs[1].name = "other".to_owned();
    let mut b = a.clone();
    b.runs[1].name = "third".to_owned();
    let comparison = compare(&a, &b, &options()).unwrap();
    assert_eq!(comparison.loads.len(), 1);
    assert_eq!(comparison.warnings, ["load \"other\" is only in A", "load \"third\" is only in B"]);
    b.runs.remove(0);
    b.runs[0].name = "fourth".to_owned();
    let error = compare(&a, &b, &options()).unwrap_err().to_string();
    assert_eq!(error, "no load in common: A has load, other, B has fourth");
    let error = compare(&made_up::report(Vec::new()), &b, &options()).unwrap_err().to_string();
    assert_eq!(error, "no load in common: A has none, B has fourth");
}

#[test]
fn trials_at_several_rates_are_no_repeats() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let a = repeats(5, 100.0, 10.0, &mut random);
    let mut b = a.clone();
    b.runs[4].arrivals.pattern = "poisson:200".to_owned();
    let error = compare(&a, &b, &options()).unwrap_err().to_string();
    assert!(error.starts_with("B: expected repeats of one load"), "{error}");
}

#[test]
fn the_table_says_it_in_words() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (a, b) = (repeats(5, 100.0, 20.0, &mut random), repeats(5, 100.0, 10.0, &mut random));
    let text = table::table(&compare(&a, &b, &options()).unwrap());
    for part in [
        "load: 5 runs of A (http://127.0.0.1:1/v2/models/m)",
        "paired by repeat",
        "95 % interval",
        "B is better: p99 0.",
        "no difference beyond noise",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn one_seed_gives_one_comparison() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (a, b) = (repeats(5, 100.0, 20.0, &mut random), repeats(6, 100.0, 19.0, &mut random));
    assert_eq!(compare(&a, &b, &options()).unwrap(), compare(&a, &b, &options()).unwrap());
}
