//! What a run found: the words of every report, and the JSON that others may read (docs/loadtest.md describes it).
//!
//! Everything that is shown anywhere is in a [`Report`], so that a report can be drawn again from its JSON file,
//! and two can be compared. Latencies are milliseconds, rates are per second, times are seconds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::Recorded;
use crate::question::Ending;

/// Changes when a reader of the JSON would have to.
pub const SCHEMA: &str = "tidegate-loadtest/1";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub tool: Tool,
    pub machine: Machine,
    /// RFC 3339, UTC.
    pub started: String,
    /// As it was typed.
    pub command: Vec<String>,
    pub seed: u64,
    /// One per load and repeat, in the order in which they ran.
    pub runs: Vec<Run>,
    /// Only of a search for the highest rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// Only of a scenario, file or MLPerf-like: its criteria, judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<ScenarioFigures>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    pub version: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub system: String,
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
}

/// One load, driven once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub name: String,
    /// As it was given: URL and model.
    pub target: String,
    /// Repeats of one load are numbered from 0; interleaved repeats of two loads pair by it.
    pub repeat: usize,
    /// Into the drive, when it was started; loads of one scenario share a clock.
    pub start_s: f64,
    pub arrivals: ArrivalFigures,
    /// Recorded time, without warm-up and without waiting for the last answers.
    pub duration_s: f64,
    pub warm_up_s: f64,
    /// Requests that were due in the recorded time: the sum of all endings.
    pub requests: u64,
    /// Right answers, by the time they were *due* in; per second of recorded time.
    pub throughput: f64,
    /// The same in rows.
    pub rows_throughput: f64,
    pub goodput: Option<Goodput>,
    /// From the intended send time, of right answers. In a closed loop there is no such time: none.
    pub latency: Option<Latency>,
    /// From the time at which it was really sent, of right answers: what a client that waits for answers would report.
    pub latency_uncorrected: Latency,
    /// From the intended send time to whatever ending, by ending; those that never occurred are left out.
    pub endings: BTreeMap<Ending, EndingFigures>,
    pub server: ServerFigures,
    pub generator: GeneratorFigures,
    pub validity: Validity,
    /// By the second in which a request was due.
    pub series: Vec<Second>,
    /// Parts of the recorded time, where somebody asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowFigures>,
}

impl Run {
    /// Corrected where there is a schedule, else as it was.
    pub fn best_latency(&self) -> &Latency {
        self.latency.as_ref().unwrap_or(&self.latency_uncorrected)
    }

    pub fn count(&self, ending: Ending) -> u64 {
        self.endings.get(&ending).map_or(0, |figures| figures.count)
    }

    pub fn errors(&self) -> u64 {
        let of = |(ending, figures): (&Ending, &EndingFigures)| {
            if ending.is_error() { figures.count } else { 0 }
        };
        self.endings.iter().map(of).sum()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrivalFigures {
    /// `open` or `closed`.
    pub loop_kind: String,
    /// As it can be typed again: `poisson:500`, `closed:32`.
    pub pattern: String,
    /// Mean requests per second that were due; none in a closed loop.
    pub offered_rate: Option<f64>,
    pub callers: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goodput {
    pub slo_ms: f64,
    /// Right answers within the SLO, per second.
    pub rate: f64,
    /// Of all requests that were due.
    pub share: f64,
}

/// Percentiles in milliseconds, from a histogram of three significant digits, which is there too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub samples: u64,
    pub min_ms: f64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p75_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub p9999_ms: f64,
    pub max_ms: f64,
    /// HdrHistogram V2, compressed, base64; values in nanoseconds.
    pub histogram: Recorded,
}

impl Latency {
    pub fn of(histogram: Recorded) -> Self {
        let at = |quantile| histogram.ms(quantile);
        Self {
            samples: histogram.len(),
            min_ms: histogram.min_ms(),
            mean_ms: histogram.mean_ms(),
            p50_ms: at(0.5),
            p75_ms: at(0.75),
            p90_ms: at(0.9),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            p9999_ms: at(0.9999),
            max_ms: histogram.max_ms(),
            histogram,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndingFigures {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// The first that was seen, in the server's words or ours.
    pub example: Option<String>,
}

/// What the server said of itself; empty where it says nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServerFigures {
    /// Answers by the size of the batch that they came from, in rows (`Server-Timing`).
    pub batch_rows: BTreeMap<u32, u64>,
    /// Mean rows of a batch: every answer of a batch tells its size, so answers are weighted by 1 / size.
    pub mean_batch_rows: Option<f64>,
    /// Answers by the version of the model that gave them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<u64, u64>,
    pub queue: Option<Latency>,
    pub execute: Option<Latency>,
    /// From Triton's statistics, before and after.
    pub statistics: Option<TritonStatistics>,
    /// User and system time of the server's process over the recorded time, where its process id was given.
    pub cpu_s: Option<f64>,
    pub cpu_us_per_request: Option<f64>,
}

/// What became of the requests that were due in a part of the recorded time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WindowFigures {
    /// By the drive's clock, like [`Run::start_s`].
    pub from_s: f64,
    pub to_s: f64,
    pub requests: u64,
    pub goodput: Option<Goodput>,
    /// From the intended send time, of right answers; in a closed loop from the time the caller turned to it.
    pub latency: Latency,
    pub endings: BTreeMap<Ending, EndingFigures>,
    /// As in [`ServerFigures::versions`].
    pub versions: BTreeMap<u64, u64>,
}

/// The difference of two readings of `/v2/models/<model>/stats`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TritonStatistics {
    pub inference_count: u64,
    pub execution_count: u64,
    /// Mean time in the server's queue.
    pub queue_ms: f64,
    pub compute_ms: f64,
    /// Executions by batch size.
    pub batches: BTreeMap<u32, u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GeneratorFigures {
    pub threads: usize,
    pub connections_opened: u64,
    /// Requests sent again, on another connection, because the first was closed before it took them.
    pub resent: u64,
    /// CPU time of the generator's threads over wall time: cores.
    pub cpu_cores: f64,
    /// The busiest thread's share of one core.
    pub busiest_thread: f64,
    /// How late the generator itself was: from the intended time to the moment it turned to the request.
    pub lateness: Option<Latency>,
    /// Requests that had to wait for a free connection, and how long.
    pub waited: u64,
    pub wait: Option<Latency>,
    /// Requests in flight at most, waiting ones included.
    pub most_in_flight: u64,
}

/// Whether the figures are to be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    pub valid: bool,
    /// Somebody ended the run before its time.
    #[serde(default)]
    pub interrupted: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// What a reader should know all the same, such as too few samples for a percentile.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// From the start of the recorded time.
    pub second: u32,
    /// Requests that were due in it.
    pub offered: u64,
    /// Of these, right answers.
    pub right: u64,
    pub errors: u64,
    /// Answers of any kind that came in it.
    pub answered: u64,
    /// From the intended send time, of right answers that were due in it; none when there were none.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

/// The highest rate that meets an SLO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// As it was asked for: `p99 <= 50 ms, errors <= 0.1 %`.
    pub objective: String,
    /// Requests per second; none when even the lowest rate tried failed.
    pub rate: Option<f64>,
    /// Every trial in order, confirmations last.
    pub trials: Vec<Trial>,
    /// The validity line: samples there were, samples that the percentile wants.
    pub confidence: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub rate: f64,
    /// `bracket`, `bisect` or `confirm`.
    pub phase: String,
    pub passed: bool,
    /// Why it failed, or what it measured.
    pub reason: String,
    /// Which of the report's runs it was.
    pub run: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioFigures {
    pub name: String,
    pub passed: bool,
    pub criteria: Vec<CriterionFigures>,
    /// What was done besides the loads, when, and how it went.
    pub actions: Vec<ActionFigures>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriterionFigures {
    /// What was asked for.
    pub claim: String,
    /// What was found.
    pub found: String,
    pub passed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionFigures {
    pub at_s: f64,
    pub took_s: f64,
    pub what: String,
    /// `ok`, or why not.
    pub outcome: String,
    pub ok: bool,
}

/// For live views: what has happened so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    pub elapsed: Duration,
    /// Of the whole drive, waiting for last answers not included.
    pub total: Duration,
    pub loads: Vec<LoadProgress>,
}

#[derive(Clone, Debug, Default)]
pub struct LoadProgress {
    pub name: String,
    pub warming_up: bool,
    /// So far, warm-up included.
    pub due: u64,
    pub right: u64,
    pub errors: u64,
    /// Most frequent error so far.
    pub worst: Option<(Ending, u64)>,
    /// Over the last whole second: right answers, and their percentiles.
    pub rate: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Requests due and not ended.
    pub in_flight: u64,
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.valid {
            f.write_str("valid")
        } else {
            write!(f, "INVALID: {}", self.reasons.join("; "))
        }
    }
}
