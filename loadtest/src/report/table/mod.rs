//! The table at the end of a run, for a terminal of 100 columns. What makes figures worthless comes first.

mod grid;
mod overview;
mod run;
mod scenario;
mod trials;

use super::groups::shown;
use super::words::{bytes, counted, plain};
use crate::figures::{Report, Run};
pub(crate) use grid::Grid;

const WIDTH: usize = 100;
const UNITS: [&str; 4] = ["%", "ms", "µs", "GiB"];

/// The whole report as text, ending in a line feed.
pub fn table(report: &Report) -> String {
    let mut lines = alarms(report);
    if let Some(search) = &report.search {
        lines.extend(trials::lines(search));
        lines.push(String::new());
    }
    let groups = shown(report);
    if groups.len() > 1 {
        lines.extend(overview::lines(&groups));
        lines.push(String::new());
    }
    for (index, group) in groups.iter().enumerate() {
        lines.extend(run::lines(group, index == 0));
        lines.push(String::new());
    }
    if let Some(scenario) = &report.scenario {
        lines.extend(scenario::lines(scenario));
        lines.push(String::new());
    }
    lines.extend(origin(report));
    lines.join("\n") + "\n"
}

fn origin(report: &Report) -> Vec<String> {
    let (tool, machine) = (&report.tool, &report.machine);
    let text = format!(
        "{} {}, seed {}, {}; {}, {}, {} of memory, {}",
        tool.name,
        tool.version,
        report.seed,
        report.started,
        machine.processor,
        counted(machine.cores as u64, "core"),
        bytes(machine.memory_bytes),
        machine.system
    );
    wrapped(&text, "")
}

fn alarms(report: &Report) -> Vec<String> {
    let invalid: Vec<_> = report.runs.iter().filter(|run| !run.validity.valid).collect();
    if invalid.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![headline(report, invalid.len())];
    // The table of a search's trials has their reasons.
    let told = if report.search.is_some() { Vec::new() } else { invalid };
    for run in told {
        let name = if report.runs.len() == 1 { String::new() } else { which(run) };
        let reasons = run.validity.reasons.iter();
        lines.extend(reasons.flat_map(|reason| wrapped(&format!("{name}{reason}"), "  - ")));
    }
    lines.push(String::new());
    lines
}

fn headline(report: &Report, invalid: usize) -> String {
    let all = report.runs.len();
    if report.search.is_some() {
        let trials = counted(all as u64, "trial");
        return format!("the generator could not keep up in {invalid} of {trials}");
    }
    let runs = match (all, invalid) {
        (1, _) => "this run".to_owned(),
        (all, invalid) if all == invalid => format!("all {}", counted(all as u64, "run")),
        (all, invalid) => format!("{invalid} of {}", counted(all as u64, "run")),
    };
    format!("INVALID: do not believe the figures of {runs}")
}

fn which(run: &Run) -> String {
    format!("{}, run {}: ", plain(&run.name, 40), run.repeat + 1)
}

/// Broken at spaces, but not between a number and its unit; the first line begins with `head`, the others are as far in.
fn wrapped(text: &str, head: &str) -> Vec<String> {
    const TIE: &str = "\u{a0}";
    let indent = " ".repeat(head.chars().count());
    let tied = UNITS.iter().fold(plain(text, 1000), |text, unit| {
        text.replace(&format!(" {unit}"), &format!("{TIE}{unit}"))
    });
    let mut lines = vec![head.to_owned()];
    let mut empty = true;
    for word in tied.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut().expect("never empty");
        if !empty && line.chars().count() + word.chars().count() >= WIDTH {
            lines.push(format!("{indent}{word}"));
            continue;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.iter().map(|line| line.replace(TIE, " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn every() -> [Report; 8] {
        [
            sample::single(),
            sample::versus(3),
            sample::closed(),
            sample::invalid(),
            sample::search(),
            sample::scenario(true),
            sample::scenario(false),
            sample::hostile(),
        ]
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        for report in every() {
            let table = table(&report);
            for line in table.lines().filter(|line| !line.contains("http")) {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
            assert!(!table.contains('\u{1b}'));
        }
    }

    #[test]
    fn an_invalid_run_is_shouted_before_anything_else_with_its_reasons() {
        let table = table(&sample::invalid());
        assert!(table.starts_with("INVALID: do not believe the figures of this run\n  - the gene"));
        assert!(table.contains("99 % of a core"));
    }

    #[test]
    fn an_open_loop_shows_both_latencies_and_says_what_they_are() {
        let table = table(&sample::single());
        for words in ["corrected", "uncorrected", "p99.99", "goodput", "refused", "queue", "late"] {
            assert!(table.contains(words), "{words}\n{table}");
        }
    }

    #[test]
    fn a_closed_loop_says_that_its_latencies_say_nothing_about_a_rate() {
        let table = table(&sample::closed());
        assert!(table.contains("say nothing about a given rate"), "{table}");
        assert!(!table.contains("uncorrected"));
    }

    #[test]
    fn repeats_are_medians_with_least_and_most() {
        let table = table(&sample::versus(3));
        assert!(table.contains("median of 3 runs"), "{table}");
        assert!(table.contains("least") && table.contains("most"));
    }

    #[test]
    fn a_search_ends_in_its_rate_and_a_scenario_in_its_verdict() {
        assert!(table(&sample::search()).contains("2,750 requests/s"));
        assert!(table(&sample::scenario(true)).contains("PASSED"));
        let failed = table(&sample::scenario(false));
        assert!(failed.contains("FAILED") && failed.contains("312 ms"), "{failed}");
    }

    #[test]
    fn a_number_is_not_torn_from_its_unit() {
        let lines = wrapped(&format!("{} 12 % of it", "x".repeat(96)), "");
        assert_eq!(lines[1], "12 % of it");
    }

    #[test]
    fn long_reasons_are_broken_at_spaces() {
        let lines = wrapped(&"word ".repeat(40), "  - ");
        assert!(lines.len() > 1);
        assert!(lines[1].starts_with("    word"));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
    }
}
