//! Reports with made-up figures that look like real ones, for tests of what people see.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::figures::{
    ActionFigures, ArrivalFigures, CriterionFigures, EndingFigures, GeneratorFigures, Goodput,
    Latency, Report, Run, ScenarioFigures, Search, Second, ServerFigures, Trial, TritonStatistics,
    Validity, WindowFigures,
};
use crate::histogram::Recorded;
use crate::question::Ending;

const TARGET: &str = "http://127.0.0.1:8500/v2/models/digits";
const SECONDS: u32 = 30;

/// One open load, with a stall of the server, a few errors and everything that a server can tell.
pub fn single() -> Report {
    let mut run = open("digits", 500.0, 1);
    stall(&mut run);
    of(vec![run])
}

/// Two targets, taken in turn.
pub fn versus(repeats: usize) -> Report {
    let mut runs = Vec::new();
    for repeat in 0..repeats {
        for (name, target, cost) in
            [("A", TARGET, 1.0), ("B", "grpc://127.0.0.1:8501/v2/models/digits", 1.2)]
        {
            let mut run = open_at(name, 500.0, cost, 7 + repeat as u64);
            run.target = target.to_owned();
            run.repeat = repeat;
            runs.push(run);
        }
    }
    of(runs)
}

pub fn closed() -> Report {
    let mut run = open("digits", 2000.0, 3);
    run.arrivals = ArrivalFigures {
        loop_kind: "closed".to_owned(),
        pattern: "closed:32".to_owned(),
        offered_rate: None,
        callers: Some(32),
    };
    run.latency = None;
    run.goodput = None;
    of(vec![run])
}

pub fn invalid() -> Report {
    let mut report = single();
    report.runs[0].validity = Validity {
        valid: false,
        interrupted: false,
        reasons: vec![
            "the generator was late by more than 1 ms for 3.1 % of the requests".to_owned(),
            "its busiest thread used 99 % of a core".to_owned(),
        ],
        notes: Vec::new(),
    };
    report
}

/// A search: brackets, bisects, confirms.
pub fn search() -> Report {
    let rates = [500.0, 1000.0, 2000.0, 4000.0, 3000.0, 2500.0, 2750.0, 2750.0, 2750.0];
    let mut runs = Vec::new();
    let mut trials = Vec::new();
    for (index, rate) in rates.into_iter().enumerate() {
        let mut run =
            open_at("digits", rate, (1.0 - (rate / 4200.0).min(0.99)).recip() * 0.7, index as u64);
        run.goodput = run.goodput.map(|goodput| Goodput { slo_ms: 20.0, ..goodput });
        let p99 = run.best_latency().p99_ms;
        trials.push(Trial {
            rate,
            phase: ["bracket", "bisect", "confirm"]
                [usize::from(index > 3) + usize::from(index > 6)]
            .to_owned(),
            passed: p99 <= 20.0,
            reason: format!("p99 was {p99:.2} ms"),
            run: index,
        });
        runs.push(run);
    }
    let mut report = of(runs);
    report.search = Some(Search {
        objective: "p99 <= 20 ms, errors <= 0.1 %".to_owned(),
        rate: Some(2750.0),
        trials,
        confidence: "247,500 samples confirm p99; 270,336 are wanted at 99 % confidence".to_owned(),
    });
    report
}

/// Two loads on one clock, with a canary that is switched under them.
pub fn scenario(passed: bool) -> Report {
    let mut slow = open_at("batch jobs", 50.0, 8.0, 12);
    slow.start_s = 5.0;
    slow.server = ServerFigures::default();
    let mut main = open("digits", 500.0, 11);
    stall(&mut main);
    main.windows = vec![WindowFigures {
        from_s: 12.0,
        to_s: 15.0,
        requests: 1_502,
        goodput: main.goodput.clone(),
        latency: main.latency_uncorrected.clone(),
        endings: main.endings.clone(),
        versions: main.server.versions.clone(),
    }];
    let mut report = of(vec![main, slow]);
    report.scenario = Some(ScenarioFigures {
        name: "canary switch under load".to_owned(),
        passed,
        criteria: vec![
            CriterionFigures {
                claim: "digits: no request is lost".to_owned(),
                found: "0 lost of 15,000".to_owned(),
                passed: true,
            },
            CriterionFigures {
                claim: "digits: p99 <= 50 ms during the switch".to_owned(),
                found: if passed { "12.4 ms" } else { "312 ms" }.to_owned(),
                passed,
            },
        ],
        actions: vec![
            ActionFigures {
                at_s: 12.0,
                took_s: 0.003,
                what: "weights of digits: version 1: 0, version 2: 100".to_owned(),
                outcome: "ok".to_owned(),
                ok: true,
            },
            ActionFigures {
                at_s: 25.0,
                took_s: 0.004,
                what: "weights of digits: version 1: 100, version 2: 0".to_owned(),
                outcome: if passed { "ok" } else { "409 Conflict" }.to_owned(),
                ok: passed,
            },
        ],
    });
    report
}

/// Everything that can be left out is there.
pub fn complete() -> Report {
    let mut report = scenario(true);
    report.search = search().search;
    report
}

/// Text from outside that would do harm if it were taken as HTML.
pub fn hostile() -> Report {
    const EVIL: &str = "</style><script src=\"http://evil.example/x.js\">&'\"\u{1b}[31m";
    let mut report = complete();
    report.command.push(EVIL.to_owned());
    EVIL.clone_into(&mut report.machine.processor);
    let run = &mut report.runs[0];
    EVIL.clone_into(&mut run.name);
    EVIL.clone_into(&mut run.target);
    run.validity = Validity {
        valid: false,
        interrupted: false,
        reasons: vec![EVIL.to_owned()],
        notes: vec![EVIL.to_owned()],
    };
    for figures in run.endings.values_mut() {
        figures.example = Some(EVIL.to_owned());
    }
    let scenario = report.scenario.as_mut().expect("a complete report has one");
    EVIL.clone_into(&mut scenario.name);
    EVIL.clone_into(&mut scenario.criteria[0].claim);
    EVIL.clone_into(&mut scenario.actions[0].what);
    report
}

/// A run in which nothing was answered.
pub fn empty() -> Report {
    let mut report = single();
    let run = &mut report.runs[0];
    run.latency = Some(Latency::of(Recorded::default()));
    run.latency_uncorrected = Latency::of(Recorded::default());
    run.endings = [(Ending::NotConnected, ending(15_000, Some("connection refused")))].into();
    run.server = ServerFigures::default();
    for second in &mut run.series {
        (second.right, second.errors) = (0, second.offered);
        (second.p50_ms, second.p99_ms, second.max_ms) = (None, None, None);
    }
    report
}

fn of(runs: Vec<Run>) -> Report {
    let command =
        ["tidegate-loadtest", "run", TARGET, "--arrivals", "poisson:500", "--duration", "30s"];
    let mut report = super::report(command.map(str::to_owned).to_vec(), UNIX_EPOCH, 1, runs);
    report.started = "2026-11-20T09:30:00Z".to_owned();
    report
}

fn open(name: &str, rate: f64, seed: u64) -> Run {
    open_at(name, rate, 1.0, seed)
}

/// Log-normal latencies about `cost` milliseconds.
fn open_at(name: &str, rate: f64, cost: f64, seed: u64) -> Run {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut corrected = Recorded::default();
    let mut uncorrected = Recorded::default();
    let mut lateness = Recorded::default();
    let mut series = Vec::new();
    for second in 0..SECONDS {
        let mut of_second = Recorded::default();
        let offered = (rate * (0.97 + 0.06 * random.random::<f64>())) as u64;
        // Enough for curves; tests draw many reports.
        for _ in 0..offered.min(250) {
            let spread = (random.random::<f64>() + random.random::<f64>() + random.random::<f64>()
                - 1.5)
                * 1.1;
            let tail =
                if random.random::<f64>() < 0.004 { 6.0 * random.random::<f64>() } else { 0.0 };
            let took = cost * (2.0 * spread.exp() + tail);
            of_second.record(Duration::from_secs_f64(took / 1e3));
            uncorrected.record(Duration::from_secs_f64(took * 0.97 / 1e3));
            lateness.record(Duration::from_nanos(random.random_range(2_000..90_000)));
        }
        corrected.add(&of_second);
        let some = !of_second.is_empty();
        series.push(Second {
            second,
            offered,
            right: offered,
            errors: 0,
            answered: offered,
            p50_ms: some.then(|| of_second.ms(0.5)),
            p99_ms: some.then(|| of_second.ms(0.99)),
            max_ms: some.then(|| of_second.max_ms()),
        });
    }
    finish(name, rate, corrected, uncorrected, lateness, series)
}

fn finish(
    name: &str,
    rate: f64,
    corrected: Recorded,
    uncorrected: Recorded,
    lateness: Recorded,
    series: Vec<Second>,
) -> Run {
    let right: u64 = series.iter().map(|second| second.right).sum();
    let throughput = right as f64 / f64::from(SECONDS);
    let mut endings = BTreeMap::new();
    endings.insert(Ending::Right, ending(right, None));
    endings.insert(Ending::Refused, ending(right / 400, Some("429: the queue of digits is full")));
    endings.insert(Ending::TimedOut, ending(2, None));
    let requests: u64 = endings.values().map(|figures| figures.count).sum();
    let batches = [(1, 900), (2, 2100), (4, 3300), (6, 2900), (8, 5700)];
    Run {
        name: name.to_owned(),
        target: TARGET.to_owned(),
        repeat: 0,
        start_s: 0.0,
        arrivals: ArrivalFigures {
            loop_kind: "open".to_owned(),
            pattern: format!("poisson:{rate}"),
            offered_rate: Some(rate),
            callers: None,
        },
        duration_s: f64::from(SECONDS),
        warm_up_s: 2.0,
        requests,
        throughput,
        rows_throughput: throughput * 4.0,
        goodput: Some(Goodput {
            slo_ms: 50.0,
            rate: throughput * 0.999,
            share: throughput * 0.999 * f64::from(SECONDS) / requests as f64,
        }),
        latency: Some(Latency::of(corrected.clone())),
        latency_uncorrected: Latency::of(uncorrected),
        endings,
        server: ServerFigures {
            batch_rows: batches.into(),
            versions: [(1, 5_980), (2, 8_974)].into(),
            mean_batch_rows: Some(3.9),
            queue: Some(Latency::of(corrected.clone())),
            execute: Some(Latency::of(corrected)),
            statistics: Some(TritonStatistics {
                inference_count: 59_820,
                execution_count: 15_338,
                queue_ms: 0.84,
                compute_ms: 0.61,
                batches: [(1, 900), (4, 9000), (8, 5438)].into(),
            }),
            cpu_s: Some(11.42),
            cpu_us_per_request: Some(761.3),
        },
        generator: GeneratorFigures {
            threads: 1,
            connections_opened: 24,
            resent: 1,
            cpu_cores: 0.21,
            busiest_thread: 0.19,
            lateness: Some(Latency::of(lateness.clone())),
            waited: 17,
            wait: Some(Latency::of(lateness)),
            most_in_flight: 61,
        },
        validity: Validity {
            valid: true,
            interrupted: false,
            reasons: Vec::new(),
            notes: vec!["p99.99 rests on 1 sample of 15,000".to_owned()],
        },
        series,
        windows: Vec::new(),
    }
}

fn ending(count: u64, example: Option<&str>) -> EndingFigures {
    EndingFigures {
        count,
        p50_ms: 2.03,
        p99_ms: 9.2,
        max_ms: 14.8,
        example: example.map(str::to_owned),
    }
}

/// The server stood still for a second: requests that were due then waited, and nobody who waited for answers saw it.
fn stall(run: &mut Run) {
    let corrected = run.latency.as_mut().expect("an open run");
    let mut histogram = corrected.histogram.clone();
    for index in 0..500 {
        histogram.record(Duration::from_millis(1000 - 2 * index));
    }
    *corrected = Latency::of(histogram);
    let second = &mut run.series[17];
    second.right -= 40;
    second.errors = 40;
    (second.p50_ms, second.p99_ms, second.max_ms) = (Some(497.0), Some(988.0), Some(1000.0));
}
