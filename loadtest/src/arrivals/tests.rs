//! What the schedules claim, put to the test. Seeds are fixed: a run of these tests is the same each time.

use super::*;

const SEEDS: [u64; 3] = [1, 42, 2026];
const RATES: [f64; 3] = [0.5, 100.0, 30_000.0];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn instants(pattern: &str, seed: u64, length: Duration) -> Vec<f64> {
    let pattern: Pattern = pattern.parse().unwrap();
    pattern.schedule(seed, length).map(|instant| instant.as_secs_f64()).collect()
}

fn gaps(instants: &[f64]) -> Vec<f64> {
    let starts = std::iter::once(&0.0).chain(instants);
    starts.zip(instants).map(|(before, after)| after - before).collect()
}

/// Largest distance between the gaps' distribution and the exponential one, times the root of their number. Above 1.63 with
/// a chance of 1 % if they are exponential.
fn kolmogorov_smirnov(instants: &[f64], rate: f64) -> f64 {
    let mut gaps = gaps(instants);
    gaps.sort_by(f64::total_cmp);
    let n = gaps.len() as f64;
    let distance = |(index, gap): (usize, &f64)| {
        let expected = 1.0 - (-rate * gap).exp();
        (expected - index as f64 / n).abs().max((expected - (index + 1) as f64 / n).abs())
    };
    gaps.iter().enumerate().map(distance).fold(0.0, f64::max) * n.sqrt()
}

/// Variance over mean of the counts in windows, as a normal deviate: of a Poisson stream the index is 1, with a standard
/// deviation of the root of 2 / windows.
fn dispersion(instants: &[f64], window: f64, windows: usize) -> f64 {
    let mut counts = vec![0.0; windows];
    for instant in instants {
        if let Some(count) = counts.get_mut((instant / window) as usize) {
            *count += 1.0;
        }
    }
    let n = windows as f64;
    let mean = counts.iter().sum::<f64>() / n;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (variance / mean - 1.0) / (2.0 / n).sqrt()
}

#[test]
fn poisson_gaps_are_exponential() {
    for rate in RATES {
        for seed in SEEDS {
            let length = Duration::from_secs_f64(20_000.0 / rate);
            let instants = instants(&format!("poisson:{rate}"), seed, length);
            let distance = kolmogorov_smirnov(&instants, rate);
            assert!(distance < 1.63, "rate {rate}, seed {seed}: {distance}");
        }
    }
}

#[test]
fn poisson_counts_vary_as_much_as_their_mean() {
    for rate in RATES {
        for seed in SEEDS {
            // Ten requests a window on average.
            let window = 10.0 / rate;
            let length = Duration::from_secs_f64(window * 2000.0);
            let instants = instants(&format!("poisson:{rate}"), seed, length);
            let deviate = dispersion(&instants, window, 2000);
            assert!(deviate.abs() < 2.58, "rate {rate}, seed {seed}: {deviate}");
        }
    }
}

#[test]
fn a_constant_stream_does_not_pass_for_poisson() {
    let instants = instants("constant:100", 1, secs(200));
    assert!(kolmogorov_smirnov(&instants, 100.0) > 10.0);
    assert!(dispersion(&instants, 0.105, 1900) < -10.0);
}

#[test]
fn constant_does_not_drift_in_hours() {
    let pattern: Pattern = "constant:500".parse().unwrap();
    let mut count = 0;
    for (index, instant) in pattern.schedule(1, secs(3 * 3600)).enumerate() {
        assert_eq!(instant, Duration::from_millis(2 * index as u64));
        count += 1;
    }
    assert_eq!(count, 3 * 3600 * 500);
}

#[test]
fn constant_is_exact_where_the_gap_is_not_whole() {
    let last = instants("constant:3", 1, secs(3600)).pop().unwrap();
    assert_eq!(last, 3600.0 - 0.333_333_333);
    let pattern = Pattern::Constant { rate: HIGHEST_RATE };
    let far = pattern.schedule(1, secs(3600)).nth(3_000_001).unwrap();
    assert_eq!(far, Duration::from_micros(3_000_001));
}

#[test]
fn bursty_keeps_both_its_rates() {
    for seed in SEEDS {
        let instants = instants("bursty:1000/50@1s/4s", seed, secs(500));
        let (on, off): (Vec<f64>, Vec<f64>) = instants.iter().partition(|at| *at % 5.0 < 1.0);
        // 100,000 and 20,000 are expected; four standard deviations are allowed.
        assert!((on.len() as f64 - 100_000.0).abs() < 4.0 * 100_000_f64.sqrt(), "{}", on.len());
        assert!((off.len() as f64 - 20_000.0).abs() < 4.0 * 20_000_f64.sqrt(), "{}", off.len());
    }
}

#[test]
fn bursty_is_poisson_within_a_burst() {
    let instants = instants("bursty:2000/1@10s/10s", 7, secs(10));
    let distance = kolmogorov_smirnov(&instants, 2000.0);
    assert!(distance < 1.63, "{distance}");
}

#[test]
fn bursty_can_be_silent_between_bursts() {
    let instants = instants("bursty:1000/0@100ms/900ms", 1, secs(20));
    assert!(instants.iter().all(|at| at % 1.0 <= 0.1 + 1e-9), "a request came in a pause");
    assert!((1800..2200).contains(&instants.len()), "{}", instants.len());
}

#[test]
fn each_step_has_its_count_and_the_last_holds_on() {
    let instants = instants("steps:100@10s,250@4s,40@5s", 1, secs(30));
    let between =
        |from: f64, to: f64| instants.iter().filter(|at| (from..to).contains(*at)).count();
    assert_eq!(between(0.0, 10.0), 1000);
    assert_eq!(between(10.0, 14.0), 1000);
    assert_eq!(between(14.0, 19.0), 200);
    assert_eq!(between(19.0, 30.0), 440);
}

#[test]
fn a_ramp_has_sent_at_each_instant_what_its_rate_adds_up_to() {
    for (from, to) in [(100.0, 1000.0), (1000.0, 100.0), (0.0, 500.0), (500.0, 0.0), (200.0, 200.0)]
    {
        let instants = instants(&format!("ramp:{from}..{to}@60s"), 1, secs(60));
        let total = (from + to) / 2.0 * 60.0;
        assert_eq!(instants.len() as f64, total, "{from} to {to}");
        for (index, at) in instants.iter().enumerate() {
            let sent = from * at + (to - from) * at * at / 120.0;
            assert!(
                (sent - index as f64).abs() < 1e-4,
                "{from} to {to}, {at}: {sent}, not {index}"
            );
        }
    }
}

#[test]
fn a_ramp_holds_its_last_rate() {
    let after =
        |text, from: f64| instants(text, 1, secs(20)).iter().filter(|at| **at >= from).count();
    assert_eq!(after("ramp:10..100@10s", 10.0), 1000);
    assert_eq!(after("ramp:100..0@10s", 10.0), 0);
}

#[test]
fn a_trace_is_replayed_once_and_cut_at_the_length() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "offset\n0\n0.5\n0.5\n2\n9\n").unwrap();
    let trace = format!("trace:{}", file.path().display());
    assert_eq!(instants(&trace, 1, secs(100)), [0.0, 0.5, 0.5, 2.0, 9.0]);
    assert_eq!(instants(&trace, 1, secs(2)), [0.0, 0.5, 0.5]);
    let pattern: Pattern = trace.parse().unwrap();
    assert_eq!(pattern.mean_rate(secs(2)), 1.5);
    assert_eq!(pattern.scaled(2.0).mean_rate(secs(2)), 2.0);
}

#[test]
fn the_mean_rate_is_what_the_schedule_gives() {
    for text in
        ["constant:100", "bursty:300/50@1s/4s", "steps:100@10s,200@10s", "ramp:100..400@20s"]
    {
        let pattern: Pattern = text.parse().unwrap();
        for length in [secs(7), secs(20), secs(60)] {
            let expected = pattern.mean_rate(length) * length.as_secs_f64();
            let count = pattern.schedule(3, length).count() as f64;
            let slack = if text.starts_with("bursty") { 4.0 * expected.sqrt() } else { 1.0 };
            assert!(
                (count - expected).abs() <= slack,
                "{text}, {length:?}: {count}, not {expected}"
            );
        }
    }
    assert_eq!(Pattern::Poisson { rate: 5.0 }.mean_rate(Duration::ZERO), 0.0);
}

#[test]
fn a_scaled_pattern_has_so_many_times_the_requests() {
    for text in [
        "constant:100",
        "poisson:100",
        "bursty:300/50@1s/4s",
        "steps:10@5s,20@5s",
        "ramp:1..40@20s",
    ] {
        let pattern: Pattern = text.parse().unwrap();
        let (once, thrice) = (pattern.mean_rate(secs(30)), pattern.scaled(3.0).mean_rate(secs(30)));
        assert!((thrice - 3.0 * once).abs() < 1e-9, "{text}");
    }
}

#[test]
fn one_seed_gives_one_schedule() {
    let nanoseconds = |text: &str, seed| -> Vec<u128> {
        let pattern: Pattern = text.parse().unwrap();
        pattern.schedule(seed, secs(60)).take(4).map(|at| at.as_nanos()).collect()
    };
    assert_eq!(nanoseconds("poisson:1000", 1), [1_219_325, 1_929_935, 3_029_394, 4_941_749]);
    assert_eq!(nanoseconds("bursty:1000/10@1s/1s", 1), nanoseconds("poisson:1000", 1));
    assert_ne!(nanoseconds("poisson:1000", 1), nanoseconds("poisson:1000", 2));
    assert_eq!(nanoseconds("ramp:100..200@1s", 1), nanoseconds("ramp:100..200@1s", 2));
}

#[test]
fn a_pattern_put_together_wrongly_gives_nothing_and_does_not_hang() {
    let second = secs(1);
    for pattern in [
        Pattern::Constant { rate: 0.0 },
        Pattern::Poisson { rate: -1.0 },
        Pattern::Poisson { rate: f64::NAN },
        Pattern::Steps(Vec::new()),
        Pattern::Ramp { from: 0.0, to: 0.0, over: second },
        Pattern::Bursty { on_rate: 0.0, off_rate: 0.0, on: second, off: second },
    ] {
        assert!(pattern.schedule(1, secs(10)).take(10).count() <= 1, "{pattern:?}");
    }
}
