//! What came out: verdicts, key figures, a search's trials and a scenario's criteria.

use super::super::groups::Group;
use super::super::words::{chosen_ms, count, ms, ms_unit, rate, seconds, share};
use super::markup::{Cell, Text, table};
use crate::figures::{Report, Run};
use crate::question::Ending;

pub fn verdicts(report: &Report) -> String {
    let mut text = validity(report);
    if let Some(search) = &report.search {
        let objective = &search.objective;
        text += &match search.rate {
            Some(found) => {
                let found = format!("{} requests/s", rate(found));
                let detail = format!("is the highest rate with {objective}. {}", search.confidence);
                banner(true, &found, &detail, &[])
            }
            None => banner(false, "No rate", &format!("that was tried gives {objective}"), &[]),
        };
    }
    if let Some(scenario) = &report.scenario {
        let held = scenario.criteria.iter().filter(|criterion| criterion.passed).count();
        let detail = format!("{held} of {} criteria hold", scenario.criteria.len());
        let word = if scenario.passed { "PASSED" } else { "FAILED" };
        text += &banner(scenario.passed, word, &detail, &[]);
    }
    text
}

fn validity(report: &Report) -> String {
    let invalid: Vec<&Run> = report.runs.iter().filter(|run| !run.validity.valid).collect();
    if report.search.is_some() && !invalid.is_empty() {
        // The table of trials has their reasons.
        let detail = format!("{} of {} trials", invalid.len(), report.runs.len());
        return banner(false, "The generator could not keep up", &format!("in {detail}"), &[]);
    }
    if invalid.is_empty() {
        return banner(true, "Valid", "the generator kept its schedule", &[]);
    }
    let named = |run: &Run, reason: &String| match report.runs.len() {
        1 => reason.clone(),
        _ => format!("{}, run {}: {reason}", run.name, run.repeat + 1),
    };
    let reasons: Vec<String> = invalid
        .iter()
        .flat_map(|run| run.validity.reasons.iter().map(|reason| named(run, reason)))
        .collect();
    let detail = match report.runs.len() {
        1 => "do not believe the figures of this run".to_owned(),
        all => format!("do not believe the figures of {} of {all} runs", invalid.len()),
    };
    banner(false, "INVALID", &detail, &reasons)
}

fn banner(good: bool, word: &str, detail: &str, reasons: &[String]) -> String {
    let class = if good { "verdict" } else { "verdict bad" };
    let items: String = reasons.iter().map(|r| format!("<li>{}</li>", Text(r))).collect();
    let list = if items.is_empty() { items } else { format!("<ul>{items}</ul>") };
    format!("<div class=\"{class}\"><strong>{}</strong> {}{list}</div>\n", Text(word), Text(detail))
}

/// Cards for one load, a table for several.
pub fn key_figures(report: &Report, groups: &[Group<'_>]) -> String {
    match groups {
        [] => String::new(),
        [group] => cards(group),
        _ => overview(report, groups),
    }
}

fn cards(group: &Group<'_>) -> String {
    let latency =
        |figure: fn(&Run) -> f64| format!("{} <small>ms</small>", ms(group.spread(figure).median));
    let first = group.first();
    let due = first.arrivals.offered_rate;
    let kind = if group.is_open() { "corrected" } else { "closed loop" };
    let errors: u64 = group.runs.iter().map(|run| run.errors()).sum();
    let requests: u64 = group.runs.iter().map(|run| run.requests).sum();
    let throughput = group.spread(|run| run.throughput).median;
    let mut cards = vec![
        (
            "right answers",
            format!("{} <small>/s</small>", rate(throughput)),
            due.map_or_else(String::new, |due| format!("of {}/s due", rate(due))),
        ),
        ("p50", latency(|run| run.best_latency().p50_ms), kind.to_owned()),
        ("p99", latency(|run| run.best_latency().p99_ms), kind.to_owned()),
        ("p99.9", latency(|run| run.best_latency().p999_ms), kind.to_owned()),
        (
            "errors",
            share(errors as f64 / requests.max(1) as f64),
            format!("{} of {}", count(errors), count(requests)),
        ),
    ];
    if let Some(goodput) = &first.goodput {
        let share_of = |run: &Run| run.goodput.as_ref().map_or(0.0, |goodput| goodput.share);
        let good = share(group.spread(share_of).median);
        cards.insert(4, ("goodput", good, format!("within {}", chosen_ms(goodput.slo_ms))));
    }
    // The values are numbers of ours with units; nothing in them comes from outside.
    let card = |(name, value, why): &(&str, String, String)| {
        format!("<div><dt>{name}</dt><dd>{value}</dd><dd class=\"why\">{}</dd></div>\n", Text(why))
    };
    format!("<dl class=\"cards\">\n{}</dl>\n", cards.iter().map(card).collect::<String>())
}

fn overview(report: &Report, groups: &[Group<'_>]) -> String {
    let row = |group: &Group<'_>| {
        let run = group.first();
        let latency = |figure: fn(&Run) -> f64| Cell::Number(group.spread(figure).show(ms));
        let requests: u64 = group.runs.iter().map(|run| run.requests).sum();
        let right: u64 = group.runs.iter().map(|run| run.count(Ending::Right)).sum();
        vec![
            Cell::Words(run.name.clone()),
            Cell::Words(run.arrivals.pattern.clone()),
            Cell::Number(group.spread(|run| run.throughput).show(rate)),
            latency(|run| run.best_latency().p50_ms),
            latency(|run| run.best_latency().p99_ms),
            latency(|run| run.best_latency().p999_ms),
            Cell::Number(share(right as f64 / requests.max(1) as f64)),
        ]
    };
    let rows: Vec<_> = groups.iter().map(row).collect();
    let headings = ["load", "arrivals:", "right/s", "p50 ms", "p99 ms", "p99.9 ms", "right"];
    let repeats = if report.runs.len() > groups.len() {
        "<p class=\"muted\">Median of the repeats, with the least and the most.</p>\n"
    } else {
        ""
    };
    format!("{}{repeats}", table(&headings, &rows))
}

pub fn search(report: &Report) -> String {
    let Some(search) = &report.search else { return String::new() };
    let row = |(index, trial): (usize, &crate::figures::Trial)| {
        vec![
            Cell::Number((index + 1).to_string()),
            Cell::Words(trial.phase.clone()),
            Cell::Number(rate(trial.rate)),
            Cell::verdict(trial.passed, "met", "not met"),
            Cell::Words(trial.reason.clone()),
        ]
    };
    let rows: Vec<_> = search.trials.iter().enumerate().map(row).collect();
    let headings = ["trial", "phase:", "requests/s", "objective", "why:"];
    format!("<h2>Trials</h2>\n{}", table(&headings, &rows))
}

pub fn scenario(report: &Report) -> String {
    let Some(scenario) = &report.scenario else { return String::new() };
    let criteria: Vec<_> = scenario
        .criteria
        .iter()
        .map(|criterion| {
            vec![
                Cell::verdict(criterion.passed, "\u{2713} holds", "\u{2717} fails"),
                Cell::Words(criterion.claim.clone()),
                Cell::Words(criterion.found.clone()),
            ]
        })
        .collect();
    let mut text = format!("<h2>Criteria</h2>\n{}", table(&["", "claim:", "found:"], &criteria));
    let actions: Vec<_> = scenario
        .actions
        .iter()
        .map(|action| {
            vec![
                Cell::Number(seconds(action.at_s)),
                Cell::Words(action.what.clone()),
                Cell::Number(ms_unit(action.took_s * 1e3)),
                Cell::verdict(action.ok, "ok", &action.outcome),
            ]
        })
        .collect();
    if !actions.is_empty() {
        let headings = ["at", "what was done:", "took", "outcome"];
        text += &format!("<h2>Actions</h2>\n{}", table(&headings, &actions));
    }
    text
}
