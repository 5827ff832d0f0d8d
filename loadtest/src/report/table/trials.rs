//! A search for the highest rate: its answer, then every trial.

use super::super::words::{plain, rate};
use super::grid::Grid;
use super::wrapped;
use crate::figures::Search;

pub fn lines(search: &Search) -> Vec<String> {
    let objective = plain(&search.objective, 80);
    let answer = match search.rate {
        Some(found) => format!("{} requests/s is the highest rate with {objective}", rate(found)),
        None => format!("no rate that was tried gives {objective}"),
    };
    let mut lines = wrapped(&answer, "");
    lines.extend(wrapped(&search.confidence, "  "));
    lines.push(String::new());
    lines.extend(trials(search).lines());
    lines
}

fn trials(search: &Search) -> Grid {
    let mut grid = Grid::new(2, &[1, 3, 4]);
    grid.row(["trial", "phase", "requests/s", "verdict", "why"]);
    for (index, trial) in search.trials.iter().enumerate() {
        let verdict = if trial.passed { "met" } else { "not met" };
        grid.row([
            (index + 1).to_string(),
            plain(&trial.phase, 10),
            rate(trial.rate),
            verdict.to_owned(),
            plain(&trial.reason, 58),
        ]);
    }
    grid
}
