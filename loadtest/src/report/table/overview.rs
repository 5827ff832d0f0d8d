//! Several loads at a glance, before each is shown in full.

use super::super::groups::Group;
use super::super::words::{ms, plain, rate, share};
use super::grid::Grid;
use crate::figures::Run;

pub fn lines(groups: &[Group<'_>]) -> Vec<String> {
    let mut grid = Grid::new(0, &[1]);
    grid.row(["load", "arrivals", "right/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "errors"]);
    for group in groups {
        let run = group.first();
        let latency = |figure: fn(&Run) -> f64| ms(group.spread(figure).median);
        let errors: u64 = group.runs.iter().map(|run| run.errors()).sum();
        let requests: u64 = group.runs.iter().map(|run| run.requests).sum();
        grid.row([
            plain(&run.name, 20),
            plain(&run.arrivals.pattern, 22),
            rate(group.spread(|run| run.throughput).median),
            latency(|run| run.best_latency().p50_ms),
            latency(|run| run.best_latency().p99_ms),
            latency(|run| run.best_latency().p999_ms),
            latency(|run| run.best_latency().max_ms),
            share(errors as f64 / requests.max(1) as f64),
        ]);
    }
    grid.lines()
}
