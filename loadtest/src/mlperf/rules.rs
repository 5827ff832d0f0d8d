//! What the "MLPerf Inference Rules" (MLCommons, inference_policies, inference_rules.adoc, section "Scenarios") say of each
//! scenario, and whether a run was by them.
//!
//! The counts are those that the rules give for a percentile at 99 % confidence without early stopping. With early stopping they
//! allow fewer queries and want a higher estimate instead: the upper bound that is shown here is of that kind.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use crate::figures::{CriterionFigures, Run, ScenarioFigures, Search};
use crate::statistics::{mlperf_queries, percentile_ranks};

/// In every scenario.
const DURATION: Duration = Duration::from_secs(600);
const OFFLINE_SAMPLES: u64 = 24_576;
/// Short of a day, which no run may exceed.
const LONGEST: Duration = Duration::from_secs(20 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// One query of one sample after the other: 90th percentile of the latency
    SingleStream,
    /// One query of eight samples after the other: 99th percentile of the latency
    MultiStream,
    /// Poisson arrivals: highest rate with the 99th percentile within --slo
    Server,
    /// All samples at once: throughput
    Offline,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    pub samples_per_query: usize,
    /// That is measured, or has to be within the limit.
    pub percentile: Option<f64>,
    pub duration: Duration,
    /// At least; offline these are samples.
    pub queries: u64,
}

impl Scenario {
    pub fn rules(self) -> Rules {
        let (samples_per_query, percentile) = match self {
            Self::SingleStream => (1, Some(0.9)),
            Self::MultiStream => (8, Some(0.99)),
            Self::Server => (1, Some(0.99)),
            Self::Offline => (1, None),
        };
        let queries = percentile.map_or(OFFLINE_SAMPLES, mlperf_queries);
        Rules { samples_per_query, percentile, duration: DURATION, queries }
    }

    /// What is counted.
    fn unit(self) -> &'static str {
        if self == Self::Offline { "samples" } else { "queries" }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleStream => "single-stream",
            Self::MultiStream => "multi-stream",
            Self::Server => "server",
            Self::Offline => "offline",
        })
    }
}

impl Rules {
    /// How long a run has to be at so many queries a second; a little more, so that chance does not make it short.
    pub fn length_at(&self, rate: f64) -> Duration {
        let seconds = 1.1 * self.queries as f64 / rate;
        // No queries at all: it would take for ever, and the shortest run shows as much.
        let wanted = if rate > 0.0 {
            Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(LONGEST)
        } else {
            DURATION
        };
        wanted.clamp(self.duration, LONGEST)
    }
}

/// What was found, and what the rules make of it. A run that was to be short may be.
pub fn judge(
    scenario: Scenario,
    full: bool,
    runs: &[Run],
    search: Option<&Search>,
) -> ScenarioFigures {
    let judged = measured_runs(runs, search);
    let metric = match scenario {
        Scenario::SingleStream | Scenario::MultiStream => latency(scenario, &judged),
        Scenario::Server => rate(search),
        Scenario::Offline => throughput(&judged),
    };
    let criteria = vec![metric, answered(&judged), by_the_rules(scenario, full, &judged)];
    ScenarioFigures {
        name: format!("{scenario}, in the manner of MLPerf Inference (not an MLPerf result)"),
        passed: criteria.iter().all(|criterion| criterion.passed),
        criteria,
        actions: Vec::new(),
    }
}

/// Of a search the confirmations of the rate that it found.
fn measured_runs<'r>(runs: &'r [Run], search: Option<&Search>) -> Vec<&'r Run> {
    let Some(search) = search else {
        return runs.iter().collect();
    };
    let confirmed = search.trials.iter().filter(|trial| {
        trial.phase == "confirm" && trial.passed && Some(trial.rate) == search.rate
    });
    confirmed.filter_map(|trial| runs.get(trial.run)).collect()
}

fn latency(scenario: Scenario, runs: &[&Run]) -> CriterionFigures {
    let percentile = scenario.rules().percentile.unwrap_or(0.99);
    let name = format!("p{}", (percentile * 100.0).round());
    let claim = format!("result: {name} of the latency, one query at a time");
    let Some(run) = runs.first() else {
        return criterion(claim, "no run".to_owned(), false);
    };
    let latency = run.best_latency();
    if latency.samples == 0 || !run.validity.valid {
        return criterion(claim, run.validity.to_string(), false);
    }
    // 98 % on both sides are 99 % on one.
    let bound = percentile_ranks(latency.samples, percentile, 0.98).high.map_or_else(
        || "too few queries for an upper bound at 99 % confidence".to_owned(),
        |rank| {
            let at_most = latency.histogram.ms((rank as f64 - 0.5) / latency.samples as f64);
            format!("at most {at_most:.3} ms at 99 % confidence")
        },
    );
    criterion(claim, format!("{:.3} ms, {bound}", latency.histogram.ms(percentile)), true)
}

fn rate(search: Option<&Search>) -> CriterionFigures {
    let claim = |objective: &str| format!("result: highest Poisson rate with {objective}");
    match search {
        Some(Search { rate: Some(rate), objective, confidence, .. }) => {
            criterion(claim(objective), format!("{rate} queries/s; {confidence}"), true)
        }
        Some(Search { objective, confidence, .. }) => {
            criterion(claim(objective), confidence.clone(), false)
        }
        None => criterion(claim("no objective"), "no search".to_owned(), false),
    }
}

fn throughput(runs: &[&Run]) -> CriterionFigures {
    let claim = "result: throughput, all samples there from the start".to_owned();
    match runs.first() {
        Some(run) if run.validity.valid => {
            criterion(claim, format!("{:.1} samples/s", run.rows_throughput), true)
        }
        Some(run) => criterion(claim, run.validity.to_string(), false),
        None => criterion(claim, "no run".to_owned(), false),
    }
}

fn answered(runs: &[&Run]) -> CriterionFigures {
    let errors: u64 = runs.iter().map(|run| run.errors()).sum();
    let requests: u64 = runs.iter().map(|run| run.requests).sum();
    criterion(
        "every query is answered rightly".to_owned(),
        format!("{} of {requests}", requests - errors.min(requests)),
        errors == 0 && requests > 0,
    )
}

fn by_the_rules(scenario: Scenario, full: bool, runs: &[&Run]) -> CriterionFigures {
    let rules = scenario.rules();
    let counted = |run: &&Run| match scenario {
        Scenario::Offline => (run.rows_throughput * run.duration_s).round() as u64,
        _ => run.requests,
    };
    // Each run has to do on its own.
    let count = runs.iter().map(counted).min().unwrap_or(0);
    let seconds = runs.iter().map(|run| run.duration_s).reduce(f64::min).unwrap_or(0.0);
    let met = count >= rules.queries && seconds + 0.01 >= rules.duration.as_secs_f64();
    let unit = scenario.unit();
    let claim = format!(
        "MLPerf Inference Rules, section Scenarios: {} s and {} {unit}",
        rules.duration.as_secs(),
        rules.queries
    );
    let found = format!("{seconds:.1} s and {count} {unit}");
    match (met, full) {
        (true, _) => criterion(claim, found, true),
        (false, true) => criterion(claim, found, false),
        (false, false) => criterion(
            format!("{claim}; a short run does not meet them, and was asked for"),
            format!("{found}; --full runs by the rules"),
            true,
        ),
    }
}

fn criterion(claim: String, found: String, passed: bool) -> CriterionFigures {
    CriterionFigures { claim, found, passed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Trial;
    use crate::made_up;
    use crate::question::Ending;

    fn closed(duration_s: f64, count: usize) -> Run {
        let latencies: Vec<f64> = (1..=count).map(|at| at as f64 / count as f64 * 10.0).collect();
        let mut run = made_up::run(100.0, duration_s, &latencies);
        run.latency = None;
        run
    }

    fn found(judged: &ScenarioFigures) -> Vec<(bool, &str)> {
        judged
            .criteria
            .iter()
            .map(|criterion| (criterion.passed, criterion.found.as_str()))
            .collect()
    }

    #[test]
    fn the_rules_are_those_of_the_document() {
        let of = |scenario: Scenario| {
            let rules = scenario.rules();
            (rules.samples_per_query, rules.percentile, rules.queries)
        };
        assert_eq!(of(Scenario::SingleStream), (1, Some(0.9), 24_576));
        assert_eq!(of(Scenario::MultiStream), (8, Some(0.99), 270_336));
        assert_eq!(of(Scenario::Server), (1, Some(0.99), 270_336));
        assert_eq!(of(Scenario::Offline), (1, None, 24_576));
    }

    #[test]
    fn a_full_run_is_long_enough_for_its_queries() {
        let rules = Scenario::MultiStream.rules();
        assert_eq!(rules.length_at(10_000.0), Duration::from_secs(600));
        assert_eq!(rules.length_at(100.0), Duration::from_secs(2974));
        assert_eq!(rules.length_at(0.0), Duration::from_secs(600));
        assert_eq!(rules.length_at(1e-300), LONGEST);
        assert_eq!(rules.length_at(f64::NAN), Duration::from_secs(600));
    }

    #[test]
    fn a_short_run_gives_a_result_and_says_that_it_is_short() {
        let judged = judge(Scenario::SingleStream, false, &[closed(10.0, 1000)], None);
        assert!(judged.passed);
        assert_eq!(
            found(&judged),
            [
                (true, "9.003 ms, at most 9.224 ms at 99 % confidence"),
                (true, "1000 of 1000"),
                (true, "10.0 s and 1000 queries; --full runs by the rules"),
            ]
        );
        assert!(
            judged.criteria[2]
                .claim
                .contains("600 s and 24576 queries; a short run does not meet them")
        );
    }

    #[test]
    fn a_full_run_that_is_short_fails() {
        let judged = judge(Scenario::SingleStream, true, &[closed(600.0, 1000)], None);
        assert!(!judged.passed);
        assert_eq!(found(&judged)[2], (false, "600.0 s and 1000 queries"));
        let judged = judge(Scenario::SingleStream, true, &[closed(600.0, 25_000)], None);
        assert!(judged.passed);
    }

    #[test]
    fn a_few_queries_have_no_upper_bound() {
        let judged = judge(Scenario::MultiStream, false, &[closed(10.0, 100)], None);
        assert_eq!(
            found(&judged)[0].1,
            "9.904 ms, too few queries for an upper bound at 99 % confidence"
        );
    }

    #[test]
    fn an_error_or_an_invalid_run_gives_no_result() {
        let mut failing = closed(10.0, 1000);
        failing.requests += 2;
        failing.endings.insert(Ending::Failed, made_up::ending(2));
        let judged = judge(Scenario::Offline, false, &[failing.clone()], None);
        assert!(!judged.passed);
        assert_eq!(found(&judged)[1], (false, "1000 of 1002"));

        failing.validity.valid = false;
        failing.validity.reasons.push("the generator was saturated".to_owned());
        let judged = judge(Scenario::Offline, false, &[failing], None);
        assert_eq!(found(&judged)[0], (false, "INVALID: the generator was saturated"));
    }

    #[test]
    fn of_a_search_only_the_confirmations_are_judged() {
        let trial = |rate, phase: &str, passed, run| Trial {
            rate,
            phase: phase.to_owned(),
            passed,
            reason: String::new(),
            run,
        };
        let mut search = Search {
            objective: "p99 <= 50 ms, errors <= 0 %".to_owned(),
            rate: Some(100.0),
            trials: vec![
                trial(100.0, "bracket", true, 0),
                trial(200.0, "bracket", false, 1),
                trial(100.0, "confirm", true, 2),
            ],
            confidence: "sure".to_owned(),
        };
        let runs = [closed(10.0, 500), closed(10.0, 900), closed(12.0, 1200)];
        let judged = judge(Scenario::Server, false, &runs, Some(&search));
        assert_eq!(
            found(&judged),
            [
                (true, "100 queries/s; sure"),
                (true, "1200 of 1200"),
                (true, "12.0 s and 1200 queries; --full runs by the rules"),
            ]
        );
        search.rate = None;
        assert!(!judge(Scenario::Server, false, &runs, Some(&search)).passed);
    }

    #[test]
    fn offline_counts_samples_and_not_queries() {
        let mut run = closed(10.0, 1000);
        run.rows_throughput = 8.0 * run.throughput;
        let judged = judge(Scenario::Offline, false, &[run], None);
        assert_eq!(found(&judged)[0].1, "800.0 samples/s");
        assert!(found(&judged)[2].1.starts_with("10.0 s and 8000 samples"));
    }
}
