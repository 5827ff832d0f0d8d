use super::*;
use crate::figures::{Validity, WindowFigures};
use crate::made_up::{ending, run as made_up};

/// A hundred requests: 90 right within 1 to 90 ms, 6 refused, 3 wrong, 1 lost.
fn run() -> Run {
    let latencies: Vec<f64> = (1..=90).map(f64::from).collect();
    let mut run = made_up(10.0, 10.0, &latencies);
    run.requests = 100;
    run.goodput = Some(Goodput { slo_ms: 50.0, rate: 5.0, share: 0.5 });
    run.server.versions = BTreeMap::from([(1, 80), (2, 10)]);
    for (kind, count) in [(Ending::Refused, 6), (Ending::Wrong, 3), (Ending::Broken, 1)] {
        run.endings.insert(kind, ending(count));
    }
    if let Some(refused) = run.endings.get_mut(&Ending::Refused) {
        refused.p99_ms = 4.0;
    }
    if let Some(wrong) = run.endings.get_mut(&Ending::Wrong) {
        wrong.example = Some("y[0]: expected 1, got 2".to_owned());
    }
    run
}

fn verdict_on(run: &Run, bound: Bound) -> (Verdict, String) {
    let criterion = Criterion { loads: vec!["load".to_owned()], during: None, bound };
    let capacity =
        Capacity { rate: 10.0, validity: Validity { valid: true, ..Validity::default() } };
    let capacities = Capacities::from([("load".to_owned(), capacity)]);
    let mut judged = judge(&[criterion], std::slice::from_ref(run), &capacities);
    assert_eq!(judged.len(), 1);
    let judged = judged.remove(0);
    assert_eq!(judged.figures.passed, judged.verdict == Verdict::Passed);
    (judged.verdict, judged.figures.found)
}

fn holds(bound: Bound) -> bool {
    verdict_on(&run(), bound).0 == Verdict::Passed
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn amounts_are_of_requests_that_were_due() {
    assert!(!holds(Bound::AtMost(Sort::Lost, Amount::Count(0))));
    assert!(holds(Bound::AtMost(Sort::Lost, Amount::Count(1))));
    assert!(holds(Bound::AtMost(Sort::Errors, Amount::Share(0.1))));
    assert!(!holds(Bound::AtMost(Sort::Errors, Amount::Share(0.09))));
    assert!(holds(Bound::AtMost(Sort::One(Ending::Refused), Amount::Share(0.06))));
    assert!(holds(Bound::AtMost(Sort::One(Ending::Failed), Amount::Count(0))));
}

#[test]
fn endings_that_are_not_named_are_not_allowed() {
    let mut allowed = vec![Ending::Right, Ending::Refused, Ending::Wrong];
    assert!(!holds(Bound::Only(allowed.clone())));
    allowed.push(Ending::Broken);
    assert!(holds(Bound::Only(allowed)));
}

#[test]
fn what_was_found_quotes_the_first_example() {
    let (_, found) = verdict_on(&run(), Bound::AtMost(Sort::One(Ending::Wrong), Amount::Count(0)));
    assert_eq!(found, "3 of 100: 3 wrong (y[0]: expected 1, got 2)");
}

#[test]
fn percentiles_are_of_right_answers() {
    assert!(holds(Bound::Within(Percentile::P50, ms(46))));
    assert!(!holds(Bound::Within(Percentile::P50, ms(44))));
    assert!(holds(Bound::Within(Percentile::Max, ms(91))));
    assert!(!holds(Bound::Within(Percentile::P99, ms(80))));
    assert!(holds(Bound::RefusedWithin(ms(4))));
    assert!(!holds(Bound::RefusedWithin(ms(3))));
}

#[test]
fn goodput_is_a_share_of_the_due_or_of_the_capacity() {
    assert!(holds(Bound::Goodput(0.5)));
    assert!(!holds(Bound::Goodput(0.51)));
    assert!(holds(Bound::GoodputOfCapacity(0.5)));
    assert!(!holds(Bound::GoodputOfCapacity(0.51)));
}

#[test]
fn versions_are_all_of_those_named_and_no_other() {
    assert!(holds(Bound::Versions(vec![2, 1])));
    assert!(!holds(Bound::Versions(vec![1])));
    assert!(!holds(Bound::Versions(vec![1, 2, 3])));
}

#[test]
fn a_criterion_about_nothing_fails() {
    let mut silent = run();
    silent.requests = 0;
    silent.endings.clear();
    let lost = Bound::AtMost(Sort::Lost, Amount::Count(0));
    assert_eq!(verdict_on(&silent, lost).0, Verdict::Failed);
    let unanswered = made_up(10.0, 10.0, &[]);
    assert_eq!(verdict_on(&unanswered, Bound::Within(Percentile::P99, ms(1))).0, Verdict::Failed);
}

#[test]
fn a_late_generator_excuses_a_latency_and_nothing_that_was_lost() {
    let mut late = run();
    late.validity =
        Validity { valid: false, reasons: vec!["late".to_owned()], ..Validity::default() };
    let (verdict, found) = verdict_on(&late, Bound::Within(Percentile::P99, ms(1)));
    assert_eq!(verdict, Verdict::Undecided);
    // Its own lateness is in the latency: what is within the bound with it is so without it.
    let met = verdict_on(&late, Bound::Within(Percentile::P99, ms(1000))).0;
    assert_eq!(met, Verdict::Passed);
    assert!(found.ends_with("INVALID: late"), "{found}");
    let lost = Bound::AtMost(Sort::Lost, Amount::Count(1));
    assert_eq!(verdict_on(&late, lost).0, Verdict::Passed);
    let lost = Bound::AtMost(Sort::Lost, Amount::Count(0));
    assert_eq!(verdict_on(&late, lost).0, Verdict::Failed);
}

#[test]
fn a_part_of_the_time_is_judged_by_what_was_due_in_it() {
    let mut run = run();
    let latency = made_up(1.0, 1.0, &[5.0; 10]).latency_uncorrected;
    run.windows = vec![WindowFigures {
        from_s: 4.0,
        to_s: 8.0,
        requests: 10,
        goodput: None,
        latency,
        endings: BTreeMap::from([(Ending::Right, ending(10))]),
        versions: BTreeMap::from([(2, 10)]),
    }];
    let seconds = |from, to| Some(Duration::from_secs(from)..Duration::from_secs(to));
    let judged = |during, bound| {
        let criterion = Criterion { loads: vec!["load".to_owned()], during, bound };
        judge(&[criterion], std::slice::from_ref(&run), &Capacities::new()).remove(0)
    };
    let lost = || Bound::AtMost(Sort::Lost, Amount::Count(0));
    assert_eq!(judged(seconds(4, 8), lost()).verdict, Verdict::Passed);
    assert_eq!(
        judged(seconds(4, 8), lost()).figures.claim,
        "load from 4 s to 8 s: no lost requests"
    );
    assert_eq!(judged(seconds(4, 9), lost()).verdict, Verdict::Failed);
    assert_eq!(judged(None, lost()).verdict, Verdict::Failed);
    assert_eq!(judged(seconds(4, 8), Bound::Versions(vec![2])).verdict, Verdict::Passed);
    let fast = Bound::Within(Percentile::P99, ms(6));
    assert_eq!(judged(seconds(4, 8), fast).verdict, Verdict::Passed);
}
