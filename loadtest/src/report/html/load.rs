//! One load in full: its percentiles, endings, windows, and what server and generator said of themselves.

use super::super::groups::Group;
use super::super::words::{count, counted, ms, ms_unit, rate, seconds, share};
use super::markup::{Cell, Text, table};
use crate::figures::{EndingFigures, Latency, Run, WindowFigures};
use crate::question::Ending;

const HEADINGS: [&str; 10] =
    ["", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max", "samples"];

/// The plots are markup already.
pub fn section(group: &Group<'_>, loads: usize, plots: &str) -> String {
    let run = group.first();
    let title = if loads > 1 { run.name.as_str() } else { "In detail" };
    let how = match run.arrivals.offered_rate {
        Some(offered) => {
            format!("open loop, {}: {} requests/s due", run.arrivals.pattern, rate(offered))
        }
        None => format!("closed loop, {}", run.arrivals.pattern),
    };
    let times = format!(
        "{}; {} recorded after {} of warm-up",
        how,
        seconds(run.duration_s),
        seconds(run.warm_up_s)
    );
    let mut text =
        format!("<h2>{}</h2>\n<p class=\"muted\">{}</p>\n{plots}", Text(title), Text(&times));
    text += &latencies(group);
    text += &endings(group);
    text += &windows(group);
    text += &facts(group);
    text += &notes(group);
    text
}

fn latencies(group: &Group<'_>) -> String {
    let mut rows = Vec::new();
    for (index, run) in group.runs.iter().enumerate() {
        let of = if group.runs.len() > 1 { format!(", run {}", index + 1) } else { String::new() };
        if let Some(latency) = &run.latency {
            rows.push(latency_row(&format!("corrected{of}"), latency));
            rows.push(latency_row(&format!("uncorrected{of}"), &run.latency_uncorrected));
        } else {
            rows.push(latency_row(&format!("as it was{of}"), &run.latency_uncorrected));
        }
    }
    let meaning = if group.is_open() {
        "Corrected counts from the time a request was due, uncorrected from when it was sent: \
         a client that waits for answers sees only the second."
    } else {
        "A closed loop slows down with its server: these latencies say nothing about a given rate."
    };
    format!(
        "<h3>Latency of right answers, ms</h3>\n{}<p class=\"muted\">{meaning}</p>\n",
        table(&HEADINGS, &rows)
    )
}

fn latency_row(name: &str, latency: &Latency) -> Vec<Cell> {
    let figures = [
        latency.mean_ms,
        latency.p50_ms,
        latency.p90_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.p999_ms,
        latency.p9999_ms,
        latency.max_ms,
    ];
    let name = Cell::Words(name.to_owned());
    let figures = figures.into_iter().map(|figure| Cell::Number(ms(figure)));
    let samples = Cell::Number(count(latency.samples));
    [name].into_iter().chain(figures).chain([samples]).collect()
}

fn endings(group: &Group<'_>) -> String {
    let requests: u64 = group.runs.iter().map(|run| run.requests).sum();
    let mut rows = Vec::new();
    for ending in Ending::ALL {
        let total: u64 = group.runs.iter().map(|run| run.count(ending)).sum();
        let seen: Vec<&EndingFigures> =
            group.runs.iter().filter_map(|run| run.endings.get(&ending)).collect();
        let Some(first) = seen.first().filter(|_| total > 0) else { continue };
        let most = seen.iter().map(|figures| figures.max_ms).fold(0.0, f64::max);
        let example = seen.iter().find_map(|figures| figures.example.clone());
        rows.push(vec![
            Cell::Words(ending.name().to_owned()),
            Cell::Number(count(total)),
            Cell::Number(share(total as f64 / requests.max(1) as f64)),
            Cell::Number(ms(first.p50_ms)),
            Cell::Number(ms(first.p99_ms)),
            Cell::Number(ms(most)),
            Cell::Words(example.unwrap_or_default()),
        ]);
    }
    let headings = ["ending", "requests", "share", "p50 ms", "p99 ms", "max ms", "example:"];
    format!("<h3>How the {} requests ended</h3>\n{}", count(requests), table(&headings, &rows))
}

fn windows(group: &Group<'_>) -> String {
    let row = |window: &WindowFigures| {
        let errors = window.endings.iter().filter(|(ending, _)| ending.is_error());
        vec![
            Cell::Words(format!("{} to {}", seconds(window.from_s), seconds(window.to_s))),
            Cell::Number(count(window.requests)),
            Cell::Number(count(errors.map(|(_, figures)| figures.count).sum())),
            Cell::Number(ms(window.latency.p50_ms)),
            Cell::Number(ms(window.latency.p99_ms)),
            Cell::Number(ms(window.latency.max_ms)),
        ]
    };
    let rows: Vec<_> = group.runs.iter().flat_map(|run| &run.windows).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let headings = ["window", "due", "errors", "p50 ms", "p99 ms", "max ms"];
    format!("<h3>Windows</h3>\n{}", table(&headings, &rows))
}

fn facts(group: &Group<'_>) -> String {
    let run = group.first();
    let mut rows = server(run);
    rows.extend(generator(run));
    let row =
        |(name, value): (&str, String)| vec![Cell::Words(name.to_owned()), Cell::Words(value)];
    let rows: Vec<_> = rows.into_iter().map(row).collect();
    let which = match group.runs.len() {
        1 => String::new(),
        many => format!(", first of {many} runs"),
    };
    format!("<h3>Server and generator{which}</h3>\n{}", table(&[], &rows))
}

fn server(run: &Run) -> Vec<(&'static str, String)> {
    let server = &run.server;
    let mut facts = Vec::new();
    if let Some(mean) = server.mean_batch_rows {
        facts.push(("rows in a batch", format!("{} on average", rate(mean))));
    }
    if server.versions.len() > 1 {
        let answers = server.versions.iter();
        let of: Vec<_> = answers.map(|(v, n)| format!("version {v}: {}", count(*n))).collect();
        facts.push(("answers by version", of.join(", ")));
    }
    facts.extend(server.queue.as_ref().map(|queue| ("server's queue", percentiles(queue))));
    facts.extend(server.execute.as_ref().map(|execute| ("model", percentiles(execute))));
    if let Some(statistics) = &server.statistics {
        let text = format!(
            "{} rows in {} executions; mean queue {}, mean compute {}",
            count(statistics.inference_count),
            count(statistics.execution_count),
            ms_unit(statistics.queue_ms),
            ms_unit(statistics.compute_ms)
        );
        facts.push(("model statistics", text));
    }
    if let Some(cpu) = server.cpu_s {
        let each = server.cpu_us_per_request.map(|us| format!(", {} µs a request", rate(us)));
        facts.push(("server's CPU time", format!("{} s{}", rate(cpu), each.unwrap_or_default())));
    }
    facts
}

fn generator(run: &Run) -> Vec<(&'static str, String)> {
    let generator = &run.generator;
    let mut facts = vec![
        (
            "generator's CPU",
            format!(
                "{:.2} cores, busiest of {} {}",
                generator.cpu_cores,
                counted(generator.threads as u64, "thread"),
                share(generator.busiest_thread)
            ),
        ),
        (
            "connections",
            format!(
                "{} opened, {} sent again, {} in flight at most",
                count(generator.connections_opened),
                counted(generator.resent, "request"),
                count(generator.most_in_flight)
            ),
        ),
    ];
    facts.extend(generator.lateness.as_ref().map(|late| ("generator late by", percentiles(late))));
    let wait = generator.wait.as_ref().filter(|_| generator.waited > 0);
    facts.extend(wait.map(|wait| {
        let text = format!("{} requests, {}", count(generator.waited), percentiles(wait));
        ("waited for a connection", text)
    }));
    facts
}

fn notes(group: &Group<'_>) -> String {
    let mut notes: Vec<&String> = Vec::new();
    for note in group.runs.iter().flat_map(|run| &run.validity.notes) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes.iter().map(|note| format!("<p class=\"muted\">Note: {}</p>\n", Text(note))).collect()
}

fn percentiles(latency: &Latency) -> String {
    format!("p50 {}, p99 {}, max {} ms", ms(latency.p50_ms), ms(latency.p99_ms), ms(latency.max_ms))
}
