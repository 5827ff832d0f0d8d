//! A scenario: what was done beside the loads, and which claims held.

use super::super::words::{ms_unit, seconds};
use super::wrapped;
use crate::figures::{ActionFigures, ScenarioFigures};

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
    let line = |action: &ActionFigures| {
        let outcome =
            if action.ok { "ok".to_owned() } else { format!("FAILED: {}", action.outcome) };
        let took = ms_unit(action.took_s * 1e3);
        let at = format!("  {:<14}", format!("at {}", seconds(action.at_s)));
        wrapped(&format!("{} ({outcome}, {took})", action.what), &at)
    };
    let mut lines: Vec<String> = scenario.actions.iter().flat_map(line).collect();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}
