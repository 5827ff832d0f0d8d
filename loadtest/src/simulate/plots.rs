//! The plots of a simulation, drawn by the report's own: its policies stand there as loads.

use std::collections::BTreeMap;

use super::figures::{CaseFigures, PolicyFigures, SimulationReport};
use crate::figures::{
    ArrivalFigures, GeneratorFigures, Report, Run, SCHEMA, Second, ServerFigures, Validity,
};
use crate::report::{machine, svg};

pub struct Plot {
    /// Name of its file, without `.svg`.
    pub name: String,
    pub svg: String,
}

/// Latency by rate over all cases, and by percentile and over time for each of them; what has no data has no plot.
pub fn plots(report: &SimulationReport) -> Vec<Plot> {
    let all: Vec<Run> = report.cases.iter().flat_map(runs).collect();
    let mut plots = of(report, all, "", &["saturation"]);
    for (index, case) in report.cases.iter().enumerate() {
        let prefix =
            if report.cases.len() > 1 { format!("{:02}-", index + 1) } else { String::new() };
        let kinds = ["latency-percentiles", "latency-over-time"];
        plots.extend(of(report, runs(case), &prefix, &kinds));
    }
    plots
}

fn of(report: &SimulationReport, runs: Vec<Run>, prefix: &str, kinds: &[&str]) -> Vec<Plot> {
    let report = Report {
        schema: SCHEMA.to_owned(),
        tool: report.tool.clone(),
        machine: machine(),
        started: String::new(),
        command: report.command.clone(),
        seed: report.seed,
        runs,
        search: None,
        scenario: None,
    };
    let wanted = svg::figures(&report).into_iter().filter(|figure| kinds.contains(&&*figure.name));
    wanted
        .map(|figure| Plot { name: format!("{prefix}{}", figure.name), svg: figure.svg })
        .collect()
}

fn runs(case: &CaseFigures) -> Vec<Run> {
    case.policies.iter().map(|policy| run(case, policy)).collect()
}

fn run(case: &CaseFigures, policy: &PolicyFigures) -> Run {
    let is_open = case.offered_rate.is_some();
    let seconds = (0..).zip(&policy.series);
    let second = |(second, figures): (u32, &super::figures::SecondFigures)| Second {
        second,
        offered: figures.due,
        right: figures.right,
        errors: figures.due - figures.right,
        answered: figures.due,
        p50_ms: figures.p50_ms,
        p99_ms: figures.p99_ms,
        max_ms: figures.p99_ms,
    };
    Run {
        name: policy.policy.clone(),
        target: "a simulation".to_owned(),
        repeat: 0,
        start_s: 0.0,
        arrivals: ArrivalFigures {
            loop_kind: if is_open { "open" } else { "closed" }.to_owned(),
            pattern: case.arrivals.clone(),
            offered_rate: case.offered_rate,
            callers: None,
        },
        duration_s: case.duration_s,
        warm_up_s: case.warm_up_s,
        requests: policy.requests,
        throughput: policy.throughput,
        rows_throughput: policy.throughput,
        goodput: policy.goodput.clone(),
        latency: None,
        latency_uncorrected: policy.latency.clone(),
        endings: BTreeMap::new(),
        server: ServerFigures::default(),
        generator: GeneratorFigures {
            threads: 1,
            connections_opened: 0,
            resent: 0,
            cpu_cores: 0.0,
            busiest_thread: 0.0,
            lateness: None,
            waited: 0,
            wait: None,
            most_in_flight: 0,
        },
        validity: Validity { valid: true, ..Validity::default() },
        series: seconds.map(second).collect(),
        windows: Vec::new(),
    }
}
