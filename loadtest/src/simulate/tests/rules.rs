//! What the rules do with loads whose right answer is plain.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;
use crate::simulate::figures::PolicyFigures;

/// Callers of heavy in a closed loop, over a wire.
fn closed(callers: usize) -> Setting {
    Setting { overheads: usual_overheads(), ..setting(HEAVY, &format!("closed:{callers}@100us")) }
}

fn figures(setting: &Setting, policy: &str) -> String {
    let tally = simulate(setting, policy);
    serde_json::to_string(&PolicyFigures::new(policy.to_owned(), setting, tally)).unwrap()
}

#[test]
fn one_seed_gives_one_course_of_events_and_another_seed_another() {
    let mut setting = setting(HEAVY, "bursty:2000/100@50ms/200ms");
    setting.service.noise = "lognormal:0.1".parse().unwrap();
    setting.duration = Duration::from_secs(20);
    setting.models = NonZeroUsize::new(3).unwrap();
    let first = figures(&setting, "adaptive");
    assert_eq!(first, figures(&setting, "adaptive"));
    setting.seed = 2;
    assert_ne!(first, figures(&setting, "adaptive"));
}

#[test]
fn eager_splits_eight_callers_over_two_batches_for_ever() {
    let tally = simulate(&closed(8), "eager");
    assert_eq!(tally.rows_per_run(), 4.0, "{:?}", tally.batches);
    assert!(!tally.batches.contains_key(&8));
}

#[test]
fn adaptive_keeps_callers_together_who_were_answered_together() {
    for callers in [3, 8, 32] {
        let (eager, adaptive) =
            (simulate(&closed(callers), "eager"), simulate(&closed(callers), "adaptive"));
        let rows = adaptive.rows_per_run();
        assert!(rows > 0.95 * callers as f64, "{callers}: {rows} {:?}", adaptive.batches);
        let gain = adaptive.right as f64 / eager.right as f64;
        assert!(gain > 1.2, "{callers}: {gain}");
    }
}

#[test]
fn a_lone_caller_never_waits() {
    let eager = simulate(&closed(1), "eager");
    let adaptive = simulate(&closed(1), "adaptive");
    assert_eq!(adaptive.latency.max_ms(), eager.latency.max_ms());
    assert_eq!(adaptive.right, eager.right);
}

#[test]
fn waiting_for_the_last_safe_moment_costs_a_lone_caller_the_slo() {
    let setting = Setting { slo: Some(50 * MS), ..closed(1) };
    let deferred = simulate(&setting, "deferred");
    assert!(deferred.latency.ms(0.5) > 45.0, "{:?}", deferred.latency);
    assert!(simulate(&setting, "adaptive").latency.ms(0.99) < 11.0);
}

#[test]
fn ten_times_overload_is_refused_at_the_door_and_the_accepted_are_in_time() {
    let setting =
        Setting { slo: Some(100 * MS), timeout: 200 * MS, ..setting(HEAVY, "poisson:14000") };
    let tally = simulate(&setting, "adaptive");
    let capacity = setting.capacity() * setting.duration.as_secs_f64();
    assert!(tally.right as f64 > 0.9 * capacity, "{} of {capacity}", tally.right);
    assert!((tally.late as f64) < 0.02 * tally.right as f64, "{} late", tally.late);
}

/// Right answers within the SLO, of those that were due in a second.
fn good(tally: &Tally, second: usize) -> f64 {
    let second = &tally.seconds[second];
    second.good as f64 / second.due as f64
}

#[test]
fn a_stolen_core_is_lived_with_within_two_seconds_and_forgotten_after_two() {
    let mut setting =
        Setting { slo: Some(100 * MS), timeout: 200 * MS, ..setting(HEAVY, "poisson:500") };
    setting.service.neighbours = vec!["12s..22s".parse().unwrap()];
    setting.duration = Duration::from_secs(30);
    let tally = simulate(&setting, "adaptive");
    // In recorded time the neighbour is there from 10 s to 20 s. A run takes 30 ms then: two seconds are 70 runs.
    for second in (0..10).chain(12..20).chain(22..30) {
        assert!(good(&tally, second) > 0.97, "second {second}: {}", good(&tally, second));
    }
}

#[test]
fn a_batcher_that_was_told_nonsense_learns_the_truth() {
    for believed in ["1=1ms,64=2ms", "1=30ms,64=140ms"] {
        let told = Setting {
            believed: Some(believed.parse().unwrap()),
            warm_up: Duration::from_secs(10),
            ..closed(8)
        };
        let rows = simulate(&told, "adaptive").rows_per_run();
        assert!(rows > 7.5, "{believed}: {rows}");
    }
}

#[test]
fn a_full_queue_refuses() {
    let setting = Setting { queue_size: NonZeroUsize::new(4).unwrap(), ..closed(100) };
    let tally = simulate(&setting, "fixed:1ms");
    assert!(tally.refused > 0 && tally.right > 0, "{} {}", tally.refused, tally.right);
}
