//! One load: what was asked, how long it took, how it ended, what the server and the generator said of themselves.

use std::collections::BTreeMap;

use super::super::groups::{Group, Spread};
use super::super::words::{chosen_ms, count, counted, ms, ms_unit, plain, rate, seconds, share};
use super::grid::Grid;
use super::wrapped;
use crate::figures::{Latency, Run, WindowFigures};
use crate::question::Ending;

type Percentile = (&'static str, fn(&Latency) -> f64);

const PERCENTILES: [Percentile; 8] = [
    ("mean", |latency| latency.mean_ms),
    ("p50", |latency| latency.p50_ms),
    ("p90", |latency| latency.p90_ms),
    ("p95", |latency| latency.p95_ms),
    ("p99", |latency| latency.p99_ms),
    ("p99.9", |latency| latency.p999_ms),
    ("p99.99", |latency| latency.p9999_ms),
    ("max", |latency| latency.max_ms),
];

/// What the two latencies are is explained where it is asked for: once in a report is enough.
pub fn lines(group: &Group<'_>, explained: bool) -> Vec<String> {
    let mut lines = head(group);
    lines.push(String::new());
    lines.extend(latencies(group));
    if explained || !group.is_open() {
        lines.extend(wrapped(explanation(group), "  "));
    }
    lines.push(String::new());
    lines.extend(carried(group));
    lines.extend(endings(group));
    lines.extend(windows(group));
    lines.extend(server(group));
    lines.extend(generator(group));
    lines.extend(notes(group));
    lines
}

fn head(group: &Group<'_>) -> Vec<String> {
    let run = group.first();
    let (name, target) = (plain(&run.name, 60), plain(&run.target, 200));
    let title = if name == target { name } else { format!("{name}   {target}") };
    let runs = match group.runs.len() {
        1 => String::new(),
        many => format!("; median of {many} runs"),
    };
    let pattern = plain(&run.arrivals.pattern, 60);
    let how = match (run.arrivals.offered_rate, run.arrivals.callers) {
        (Some(offered), _) => format!("open loop, {pattern}: {} requests/s due", rate(offered)),
        (None, Some(callers)) => format!("closed loop, {}", counted(callers as u64, "caller")),
        (None, None) => pattern,
    };
    let times = format!(
        "; {} recorded after {} of warm-up",
        seconds(run.duration_s),
        seconds(run.warm_up_s)
    );
    vec![title, format!("  {how}{times}{runs}")]
}

fn latencies(group: &Group<'_>) -> Vec<String> {
    let mut grid = Grid::new(2, &[]);
    let names = PERCENTILES.iter().map(|(name, _)| (*name).to_owned());
    grid.row(["latency, ms".to_owned()].into_iter().chain(names));
    if group.is_open() {
        rows(&mut grid, group, "corrected", Run::best_latency);
        rows(&mut grid, group, "uncorrected", |run| &run.latency_uncorrected);
    } else {
        rows(&mut grid, group, "as it was", Run::best_latency);
    }
    grid.lines()
}

fn explanation(group: &Group<'_>) -> &'static str {
    if group.is_open() {
        "Corrected counts from the time a request was due, uncorrected from when it was sent: \
         a client that waits for answers sees only the second."
    } else {
        "A closed loop slows down with its server: these latencies say nothing about a given rate."
    }
}

fn rows(grid: &mut Grid, group: &Group<'_>, label: &str, of: fn(&Run) -> &Latency) {
    let spread = |figure: fn(&Latency) -> f64| group.spread(|run| figure(of(run)));
    let spreads: Vec<Spread> = PERCENTILES.iter().map(|(_, figure)| spread(*figure)).collect();
    let mut row = |label: String, pick: fn(&Spread) -> f64| {
        grid.row([label].into_iter().chain(spreads.iter().map(|spread| ms(pick(spread)))));
    };
    row(label.to_owned(), |spread| spread.median);
    if group.runs.len() > 1 {
        row("  least".to_owned(), |spread| spread.least);
        row("  most".to_owned(), |spread| spread.most);
    }
}

fn carried(group: &Group<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let right = group.spread(|run| run.throughput).show(rate);
    let mut throughput = format!("{right} right answers/s");
    let rows = group.spread(|run| run.rows_throughput);
    if group.runs.iter().any(|run| run.rows_throughput != run.throughput) {
        throughput += &format!("; {} rows/s", rate(rows.median));
    }
    lines.extend(labelled("throughput", &throughput));
    let goodputs: Vec<_> = group.runs.iter().filter_map(|run| run.goodput.as_ref()).collect();
    if let Some(goodput) = goodputs.first() {
        let of = |figure: fn(&crate::figures::Goodput) -> f64| {
            group.spread(|run| run.goodput.as_ref().map_or(0.0, figure))
        };
        lines.extend(labelled(
            "goodput",
            &format!(
                "{}/s within {}: {} of the requests",
                of(|goodput| goodput.rate).show(rate),
                chosen_ms(goodput.slo_ms),
                share(of(|goodput| goodput.share).median)
            ),
        ));
    }
    lines
}

fn endings(group: &Group<'_>) -> Vec<String> {
    let requests: u64 = group.runs.iter().map(|run| run.requests).sum();
    let right: u64 = group.runs.iter().map(|run| run.count(Ending::Right)).sum();
    let errors: u64 = group.runs.iter().map(|run| run.errors()).sum();
    let of_all = |part: u64| share(part as f64 / requests.max(1) as f64);
    let summary = format!(
        "{} due, {} right, {} ({})",
        count(requests),
        count(right),
        counted(errors, "error"),
        of_all(errors)
    );
    let mut lines = labelled("requests", &summary);
    for ending in Ending::ALL.into_iter().filter(|ending| *ending != Ending::Right) {
        let total: u64 = group.runs.iter().map(|run| run.count(ending)).sum();
        if total == 0 {
            continue;
        }
        let seen: Vec<_> = group.runs.iter().filter_map(|run| run.endings.get(&ending)).collect();
        let median = group.spread(|run| run.endings.get(&ending).map_or(f64::NAN, |e| e.p50_ms));
        let when = if median.median.is_finite() {
            format!(", p50 {}", ms_unit(median.median))
        } else {
            String::new()
        };
        let text = format!("{} ({}){when}", count(total), of_all(total));
        lines.push(format!("    {:<14}{text}", ending.name()));
        if let Some(example) = seen.iter().find_map(|figures| figures.example.as_ref()) {
            lines.extend(wrapped(&plain(example, 300), "                  "));
        }
    }
    lines
}

fn windows(group: &Group<'_>) -> Vec<String> {
    let line = |window: &WindowFigures| {
        let (from, to) = (seconds(window.from_s), seconds(window.to_s));
        let errors = window.endings.iter().filter(|(ending, _)| ending.is_error());
        let text = format!(
            "from {from} to {to}: {} due, {}; {}{}",
            count(window.requests),
            counted(errors.map(|(_, figures)| figures.count).sum(), "error"),
            percentiles(&window.latency),
            versions(&window.versions)
        );
        labelled("window", &text)
    };
    group.runs.iter().flat_map(|run| &run.windows).flat_map(line).collect()
}

/// Only of a model of which several versions answered.
fn versions(answers: &BTreeMap<u64, u64>) -> String {
    if answers.len() < 2 {
        return String::new();
    }
    let all: u64 = answers.values().sum();
    let part = |(version, answers): (&u64, &u64)| {
        format!("version {version}: {}", share(*answers as f64 / all.max(1) as f64))
    };
    let parts: Vec<_> = answers.iter().map(part).collect();
    format!("; answers of {}", parts.join(", "))
}

fn server(group: &Group<'_>) -> Vec<String> {
    let run = group.first();
    let server = &run.server;
    let mut lines = Vec::new();
    let versions = versions(&server.versions);
    if !versions.is_empty() {
        lines.extend(labelled("versions", versions.trim_start_matches("; ")));
    }
    if let Some(mean) = server.mean_batch_rows {
        let all: u64 = server.batch_rows.values().sum();
        let part = |(rows, answers): (&u32, &u64)| {
            format!("{rows}: {}", share(*answers as f64 / all.max(1) as f64))
        };
        let sizes: Vec<_> = server.batch_rows.iter().map(part).collect();
        let text = format!(
            "{} rows on average; answers by rows in their batch: {}",
            rate(mean),
            sizes.join(", ")
        );
        lines.extend(labelled("batches", &text));
    }
    let times = [("server queue", &server.queue), ("model", &server.execute)];
    for (label, latency) in times.into_iter().filter_map(|(l, t)| Some((l, t.as_ref()?))) {
        lines.extend(labelled(label, &percentiles(latency)));
    }
    if let Some(statistics) = &server.statistics {
        let text = format!(
            "{} in {}; mean queue {}, mean compute {}",
            counted(statistics.inference_count, "row"),
            counted(statistics.execution_count, "execution"),
            ms_unit(statistics.queue_ms),
            ms_unit(statistics.compute_ms)
        );
        lines.extend(labelled("statistics", &text));
    }
    if let Some(cpu) = server.cpu_s {
        let each = server.cpu_us_per_request.map(|us| format!(", {} µs a request", rate(us)));
        lines.extend(labelled(
            "server CPU",
            &format!("{} s{}", rate(cpu), each.unwrap_or_default()),
        ));
    }
    lines
}

fn generator(group: &Group<'_>) -> Vec<String> {
    let cores = group.spread(|run| run.generator.cpu_cores).show(|cores| format!("{cores:.2}"));
    let busiest = group.spread(|run| run.generator.busiest_thread).most;
    let generator = &group.first().generator;
    let mut text = format!(
        "{cores} cores, busiest thread {}; {} opened, {} in flight at most",
        share(busiest),
        counted(generator.connections_opened, "connection"),
        count(generator.most_in_flight)
    );
    if generator.resent > 0 {
        text += &format!(", {} sent again", count(generator.resent));
    }
    let mut lines = labelled("generator", &text);
    if let Some(lateness) = &generator.lateness {
        lines.extend(labelled("  late by", &percentiles(lateness)));
    }
    if let Some(wait) = generator.wait.as_ref().filter(|_| generator.waited > 0) {
        let text = format!(
            "{} waited for a free connection: {}",
            counted(generator.waited, "request"),
            percentiles(wait)
        );
        lines.extend(labelled("  waiting", &text));
    }
    lines
}

fn notes(group: &Group<'_>) -> Vec<String> {
    let mut notes: Vec<&String> = Vec::new();
    for note in group.runs.iter().flat_map(|run| &run.validity.notes) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes.iter().flat_map(|note| labelled("note", note)).collect()
}

fn percentiles(latency: &Latency) -> String {
    format!("p50 {}, p99 {}, max {} ms", ms(latency.p50_ms), ms(latency.p99_ms), ms(latency.max_ms))
}

fn labelled(label: &str, text: &str) -> Vec<String> {
    wrapped(text, &format!("  {label:<14}"))
}
