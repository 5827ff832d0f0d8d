//! A scenario: what was done beside the loads, and which claims held.

use super::super::words::{plain, seconds};
use super::grid::Grid;
use super::wrapped;
use crate::figures::ScenarioFigures;

pub fn lines(scenario: &ScenarioFigures) -> Vec<String> {
    let mut lines = actions(scenario);
    for criterion in &scenario.criteria {
        let mark = if criterion.passed { "  pass  " } else { "  FAIL  " };
        let text = format!("{} (found: {})", criterion.claim, criterion.found);
        lines.extend(wrapped(&text, mark));
    }
    let verdict = if scenario.passed { "PASSED" } else { "FAILED" };
    lines.extend(wrapped(&format!("{verdict}: scenario {}", scenario.name), ""));
    lines
}

fn actions(scenario: &ScenarioFigures) -> Vec<String> {
    let mut grid = Grid::new(2, &[1, 3]);
    for action in &scenario.actions {
        let outcome =
            if action.ok { "ok".to_owned() } else { format!("FAILED: {}", action.outcome) };
        grid.row([
            format!("at {}", seconds(action.at_s)),
            plain(&action.what, 46),
            format!("took {}", seconds(action.took_s)),
            plain(&outcome, 24),
        ]);
    }
    let mut lines = grid.lines();
    if !grid.is_empty() {
        lines.push(String::new());
    }
    lines
}
