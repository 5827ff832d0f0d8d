//! What a simulation found: the words of its table, and the JSON that others may read (docs/batching.md describes it).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::curve::ServiceCurve;
use super::setting::Setting;
use super::tally::{SecondTally, Tally};
use crate::figures::{Goodput, Latency, Tool};

/// Changes when a reader of the JSON would have to.
pub const SCHEMA: &str = "tidegate-simulation/1";

#[derive(Clone, Debug, Serialize)]
pub struct SimulationReport {
    pub schema: String,
    pub tool: Tool,
    /// As it was typed.
    pub command: Vec<String>,
    pub seed: u64,
    /// What a run of so many rows takes. `--curve` reads it from here.
    pub curve: ServiceCurve,
    pub models: usize,
    /// Of each model.
    pub instances: usize,
    pub max_batch_size: usize,
    pub slo_ms: Option<f64>,
    /// Requests per second that the instances could carry in their best batches.
    pub capacity: f64,
    pub cases: Vec<CaseFigures>,
}

/// One load, and what each policy made of it.
#[derive(Clone, Debug, Serialize)]
pub struct CaseFigures {
    /// As it can be typed again.
    pub arrivals: String,
    /// Requests per second that were due; none in a closed loop.
    pub offered_rate: Option<f64>,
    pub warm_up_s: f64,
    pub duration_s: f64,
    pub policies: Vec<PolicyFigures>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PolicyFigures {
    pub policy: String,
    /// That were due in the recorded time.
    pub requests: u64,
    /// Right answers a second.
    pub throughput: f64,
    /// Only with an SLO.
    pub goodput: Option<Goodput>,
    pub latency: Latency,
    /// By a full queue, or because they would have been late.
    pub refused: u64,
    /// Deadline passed.
    pub late: u64,
    /// Runs by their rows.
    pub batches: BTreeMap<usize, u64>,
    pub rows_per_run: f64,
    /// Runs by the reason for which their batch was closed.
    pub closed_by: BTreeMap<&'static str, u64>,
    /// Of the instances' time.
    pub utilisation: f64,
    /// Real time of the batcher for each request, where it was measured.
    pub leader_ns_per_request: Option<f64>,
    pub series: Vec<SecondFigures>,
}

/// Requests that were due in one second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SecondFigures {
    pub due: u64,
    pub right: u64,
    /// Right answers within the SLO, or all where there is none.
    pub good: u64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

impl PolicyFigures {
    pub fn new(policy: String, setting: &Setting, tally: Tally) -> Self {
        let seconds = setting.duration.as_secs_f64();
        let (requests, good) = (tally.requests(), tally.good());
        let goodput = |slo: Duration| Goodput {
            slo_ms: slo.as_secs_f64() * 1e3,
            rate: good as f64 / seconds,
            share: good as f64 / requests.max(1) as f64,
        };
        let instances = (setting.instances.get() * setting.models.get()) as f64;
        let leader = tally.leader.map(|time| time.as_nanos() as f64);
        Self {
            policy,
            requests,
            throughput: tally.right as f64 / seconds,
            goodput: setting.slo.map(goodput),
            refused: tally.refused,
            late: tally.late,
            rows_per_run: tally.rows_per_run(),
            utilisation: tally.busy.as_secs_f64() / (seconds * instances),
            leader_ns_per_request: leader.map(|ns| ns / tally.all_requests.max(1) as f64),
            series: tally.seconds.iter().map(SecondFigures::new).collect(),
            latency: Latency::of(tally.latency),
            batches: tally.batches,
            closed_by: tally.closed_by,
        }
    }
}

impl SecondFigures {
    fn new(tally: &SecondTally) -> Self {
        Self {
            due: tally.due,
            right: tally.right,
            good: tally.good,
            p50_ms: tally.latency.ms(0.5),
            p99_ms: tally.latency.ms(0.99),
        }
    }
}
