//! The policies side by side as text, for a terminal of 110 columns.

use super::figures::{CaseFigures, PolicyFigures, SimulationReport};
use crate::report::{Grid, words};

/// Batch sizes that are named, the most frequent ones.
const SIZES: usize = 3;

/// The whole report, ending in a line feed.
pub fn table(report: &SimulationReport) -> String {
    let instances = words::counted(report.instances as u64, "instance");
    let models = words::counted(report.models as u64, "model");
    let mut lines = vec![format!(
        "Simulated: {models}, {instances} each, batches of at most {} rows; capacity {} requests/s; seed {}",
        report.max_batch_size,
        words::rate(report.capacity),
        report.seed
    )];
    for case in &report.cases {
        lines.push(String::new());
        lines.push(head(report, case));
        lines.extend(grid(report, case));
    }
    lines.join("\n") + "\n"
}

fn head(report: &SimulationReport, case: &CaseFigures) -> String {
    let share = case
        .offered_rate
        .map(|rate| format!(", {} of capacity", words::share(rate / report.capacity)));
    let slo = report.slo_ms.map(|slo| format!(", SLO {}", words::chosen_ms(slo)));
    let time = words::seconds(case.duration_s);
    format!("{}{}, {time}{}", case.arrivals, share.unwrap_or_default(), slo.unwrap_or_default())
}

fn grid(report: &SimulationReport, case: &CaseFigures) -> Vec<String> {
    let has_cost = case.policies.iter().any(|policy| policy.leader_ns_per_request.is_some());
    let mut grid = Grid::new(2, &[9]);
    let mut heads = vec![
        "policy",
        "answers/s",
        "good",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "not answered",
        "busy",
        "rows/run",
        "sizes",
    ];
    if has_cost {
        heads.insert(9, "ns/request");
    }
    grid.row(heads);
    for policy in &case.policies {
        let mut cells = cells(report, policy);
        if has_cost {
            let cost = policy.leader_ns_per_request;
            cells.insert(9, cost.map_or_else(|| "-".to_owned(), words::rate));
        }
        grid.row(cells);
    }
    grid.lines()
}

fn cells(report: &SimulationReport, policy: &PolicyFigures) -> Vec<String> {
    let good = policy.goodput.as_ref().filter(|_| report.slo_ms.is_some());
    vec![
        policy.policy.clone(),
        words::rate(policy.throughput),
        good.map_or_else(|| "-".to_owned(), |good| words::share(good.share)),
        words::ms(policy.latency.p50_ms),
        words::ms(policy.latency.p99_ms),
        words::ms(policy.latency.p999_ms),
        words::count(policy.refused + policy.late),
        format!("{:.0} %", policy.utilisation * 100.0),
        words::rate(policy.rows_per_run),
        sizes(policy),
    ]
}

/// `7: 50 %, 1: 50 %`, of the runs.
fn sizes(policy: &PolicyFigures) -> String {
    let all: u64 = policy.batches.values().sum();
    let mut sizes: Vec<(usize, u64)> =
        policy.batches.iter().map(|(rows, runs)| (*rows, *runs)).collect();
    sizes.sort_by_key(|(rows, runs)| (std::cmp::Reverse(*runs), *rows));
    let shown =
        |(rows, runs): &(usize, u64)| format!("{rows}: {:.0} %", *runs as f64 / all as f64 * 100.0);
    sizes.iter().take(SIZES).map(shown).collect::<Vec<_>>().join(", ")
}
