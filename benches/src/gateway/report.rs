//! The figures as Markdown: one table, with what was measured beside what bounds it and what it should beat.

use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use tidegate_loadtest::figures::{Latency, Run};
use tidegate_loadtest::histogram::Recorded;
use tidegate_loadtest::report::{machine, rfc3339};
use tidegate_loadtest::statistics::median;

use super::measure::{Case, Cell, ClosedArm, OpenArm, Pace, RawArm};
use super::plots;
use super::to_beat::{Measured, to_beat};
use super::workload::Threads;
use crate::Result;
use crate::output::{Table, figure, grouped, progress};

/// Into the file, with its plots beside it, or to stdout.
pub fn write(
    cases: &[Case],
    pace: &Pace,
    started: SystemTime,
    output: Option<&Path>,
) -> Result<()> {
    let mut markdown = markdown(cases, pace, started);
    let Some(path) = output else {
        std::io::Write::write_all(&mut std::io::stdout(), markdown.as_bytes())?;
        return Ok(());
    };
    let plots = plots::write(cases, started, path)?;
    if !plots.is_empty() {
        let _ = write!(markdown, "\n{plots}");
    }
    std::fs::write(path, markdown).map_err(|error| format!("{}: {error}", path.display()))?;
    progress(&format!("wrote {}", path.display()));
    Ok(())
}

fn markdown(cases: &[Case], pace: &Pace, started: SystemTime) -> String {
    let machine = machine();
    let command: Vec<String> = std::env::args().skip(1).collect();
    let Pace { rounds, time } = pace;
    let cores = machine.cores;
    let mut markdown = format!(
        "## The gateway beside raw ONNX Runtime and bare HTTP\n\n\
         {processor}, {cores} cores, {memory:.0} GiB, {system}; {date}; `tidegate-benches {command}`\n\n\
         Medians of {rounds} rounds; each loads the gateway for {seconds} s and every baseline for half of it, one arm after \
         the other. The generator's thread shares the {cores} cores, its part is shown. The gateway runs with its defaults: one \
         configuration for all. ONNX Runtime {ort}. Every answer was checked.\n\n\
         *callers*: a closed loop, whose latencies say nothing about a rate. *Poisson*: an open loop at a share of the best closed loop of its round; \
         latency from the intended send time. *raw*: rows/s of ONNX Runtime in a loop with at most as many rows in flight as \
         there are callers, in the best way to share the cores (instances x threads in a run x batch). *less generator*: the share of \
         what raw would give on the cores that the generator left. *bare*: a hyper server that reads the same body and answers the \
         same bytes; JSON is parsed and written by serde_json. Shares and ratios are medians of the rounds' own. CPU is user and system time of the \
         server's process. † marks runs that are not to be believed, with the reason below.\n\n",
        processor = machine.processor,
        memory = machine.memory_bytes as f64 / f64::from(1 << 30),
        system = machine.system,
        date = rfc3339(started),
        command = command.join(" "),
        seconds = time.as_secs_f64(),
        ort = tidegate_backend_ort::PINNED_VERSION,
    );
    let mut table = Table::new(
        &["model", "load"],
        &[
            "requests/s",
            "p50 ms",
            "p99 ms",
            "samples",
            "CPU µs/request",
            "generator's cores",
            "rows/batch",
            "raw rows/s",
            "share of raw",
            "less generator",
            "bare requests/s",
            "bare CPU µs/request",
            "ratio to bare",
            "to beat",
        ],
    );
    for case in cases {
        case.closed.iter().for_each(|arm| table.row(closed_row(case, arm, cores as f64)));
        case.open.iter().for_each(|arm| table.row(open_row(case, arm)));
    }
    markdown += &table.into_markdown();
    let doubts: Vec<String> = cases.iter().flat_map(doubts).collect();
    if !doubts.is_empty() {
        let _ = write!(markdown, "\n{}\n", doubts.join("\n"));
    }
    markdown
}

fn closed_row(case: &Case, arm: &ClosedArm, cores: f64) -> [String; 16] {
    let latency = together(arm.gateway.iter().map(Run::best_latency));
    let raw = best_raw(case, arm.callers);
    let share = |raw: &RawArm| {
        let pairs = arm.gateway.iter().zip(&raw.runs);
        median(pairs.map(|(gateway, raw)| gateway.rows_throughput / raw.rows_per_second))
    };
    let share_of_raw = raw.map_or(f64::NAN, share);
    let pairs = || arm.gateway.iter().zip(&arm.bare);
    let left = |run: &Run| (cores - run.generator.cpu_cores) / cores;
    let without_generator = |raw: &RawArm| {
        let pairs = arm.gateway.iter().zip(&raw.runs);
        median(pairs.map(|(run, raw)| run.rows_throughput / raw.rows_per_second / left(run)))
    };
    let share_without_generator = raw.map_or(f64::NAN, without_generator);
    let ratio_to_bare = median(pairs().map(|(gateway, bare)| gateway.throughput / bare.throughput));
    let measured = Measured {
        callers: arm.callers,
        cpu_us_per_request: cpu(&arm.gateway),
        ratio_to_bare,
        bare_cpu_us_per_request: cpu(&arm.bare),
        share_of_raw: share_without_generator,
        above_raw_us: above_raw_us(case, arm),
        raw_us: alone(case)
            .map_or(f64::NAN, |alone| median(alone.runs.iter().map(|run| run.times.ms(0.5) * 1e3))),
    };
    [
        format!("{} {}", case.model, case.wire),
        format!("{} {}", arm.callers, if arm.callers == 1 { "caller" } else { "callers" }),
        marked(rate(&arm.gateway), &arm.gateway),
        figure(latency.ms(0.5)),
        figure(latency.ms(0.99)),
        grouped(i64::try_from(latency.len()).unwrap_or(i64::MAX)),
        figure(cpu(&arm.gateway)),
        generators_cores(&arm.gateway),
        rows_per_batch(&arm.gateway),
        raw.map_or_else(|| "-".to_owned(), shown_raw),
        share_shown(share_of_raw),
        share_shown(share_without_generator),
        marked(rate(&arm.bare), &arm.bare),
        figure(cpu(&arm.bare)),
        format!("{ratio_to_bare:.3}"),
        to_beat(case.name, &measured).unwrap_or_default(),
    ]
}

fn open_row(case: &Case, arm: &OpenArm) -> [String; 16] {
    let latency = together(arm.gateway.iter().map(Run::best_latency));
    let offered = median(arm.gateway.iter().filter_map(|run| run.arrivals.offered_rate));
    let none = || "-".to_owned();
    [
        format!("{} {}", case.model, case.wire),
        format!("Poisson {}/s ({:.0} %)", figure(offered), arm.share * 100.0),
        marked(rate(&arm.gateway), &arm.gateway),
        figure(latency.ms(0.5)),
        figure(latency.ms(0.99)),
        grouped(i64::try_from(latency.len()).unwrap_or(i64::MAX)),
        figure(cpu(&arm.gateway)),
        generators_cores(&arm.gateway),
        rows_per_batch(&arm.gateway),
        none(),
        none(),
        none(),
        none(),
        none(),
        none(),
        String::new(),
    ]
}

/// Of the ways that have at most so many rows in flight, the one with the best median.
fn best_raw(case: &Case, callers: usize) -> Option<&RawArm> {
    let fits = case.raw.iter().filter(|arm| arm.cell.rows_in_flight() <= callers);
    fits.max_by(|one, other| raw_rate(one).total_cmp(&raw_rate(other)))
}

fn raw_rate(arm: &RawArm) -> f64 {
    median(arm.runs.iter().map(|run| run.rows_per_second))
}

fn shown_raw(arm: &RawArm) -> String {
    let Cell { threads: Threads { instances, intra_op }, batch } = arm.cell;
    format!("{} ({instances}x{intra_op}x{batch})", figure(raw_rate(arm)))
}

/// p50 of the callers, less p50 of one row alone.
fn above_raw_us(case: &Case, arm: &ClosedArm) -> f64 {
    let Some(alone) = alone(case) else { return f64::NAN };
    let pairs = arm.gateway.iter().zip(&alone.runs);
    median(pairs.map(|(run, raw)| (run.best_latency().p50_ms - raw.times.ms(0.5)) * 1e3))
}

/// One row alone, on all cores.
fn alone(case: &Case) -> Option<&RawArm> {
    case.raw.iter().find(|arm| arm.cell.rows_in_flight() == 1)
}

fn together<'a>(latencies: impl Iterator<Item = &'a Latency>) -> Recorded {
    let mut all = Recorded::default();
    for latency in latencies {
        all.add(&latency.histogram);
    }
    all
}

fn rate(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.throughput))
}

fn cpu(runs: &[Run]) -> f64 {
    median(runs.iter().filter_map(|run| run.server.cpu_us_per_request))
}

fn generators_cores(runs: &[Run]) -> String {
    format!("{:.2}", median(runs.iter().map(|run| run.generator.cpu_cores)))
}

fn rows_per_batch(runs: &[Run]) -> String {
    let rows = median(runs.iter().filter_map(|run| run.server.mean_batch_rows));
    if rows.is_nan() { "-".to_owned() } else { format!("{rows:.2}") }
}

fn share_shown(share: f64) -> String {
    if share.is_nan() { "-".to_owned() } else { format!("{:.1} %", share * 100.0) }
}

fn marked(rate: f64, runs: &[Run]) -> String {
    let invalid = runs.iter().any(|run| !run.validity.valid);
    format!("{}{}", figure(rate), if invalid { " †" } else { "" })
}

/// A line for each load of which a run is not to be believed.
fn doubts(case: &Case) -> Vec<String> {
    let closed = case.closed.iter().flat_map(|arm| {
        let callers = arm.callers;
        [
            (format!("{callers} callers"), &arm.gateway),
            (format!("{callers} callers, bare"), &arm.bare),
        ]
    });
    let open = case.open.iter().map(|arm| (format!("{:.0} %", arm.share * 100.0), &arm.gateway));
    let case = format!("{} {}", case.model, case.wire);
    closed.chain(open).filter_map(|(load, runs)| doubt(&case, &load, runs)).collect()
}

fn doubt(case: &str, load: &str, runs: &[Run]) -> Option<String> {
    let invalid: Vec<&Run> = runs.iter().filter(|run| !run.validity.valid).collect();
    let reason = invalid.first()?.validity.reasons.join("; ");
    Some(format!("- † {case}, {load}, {} of {} rounds: {reason}", invalid.len(), runs.len()))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::super::workload::Name;
    use super::*;
    use tidegate_loadtest::ceiling::RawRun;

    fn raw(instances: usize, batch: usize, rows_per_second: f64) -> RawArm {
        let count = |number| NonZeroUsize::new(number).unwrap();
        let threads = Threads { instances: count(instances), intra_op: count(3 - instances) };
        let mut times = Recorded::default();
        times.record(Duration::from_millis(1));
        let run = RawRun { rows_per_second, times, rows: 1, cpu: None };
        RawArm { cell: Cell { threads, batch }, runs: vec![run] }
    }

    #[test]
    fn the_baseline_is_the_best_way_to_run_so_many_rows_at_once() {
        let case = Case {
            name: Name::Heavy,
            model: "heavy 1".to_owned(),
            wire: "JSON",
            raw: vec![raw(1, 1, 100.0), raw(1, 8, 900.0), raw(2, 4, 800.0), raw(2, 16, 1900.0)],
            closed: Vec::new(),
            open: Vec::new(),
        };
        let best = |callers| best_raw(&case, callers).map(shown_raw);
        assert_eq!(best(1).unwrap(), "100 (1x2x1)");
        assert_eq!(best(8).unwrap(), "900 (1x2x8)");
        assert_eq!(best(64).unwrap(), "1,900 (2x1x16)");
        assert_eq!(best(0), None);
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        assert_eq!(share_shown(f64::NAN), "-");
        assert_eq!(rows_per_batch(&[]), "-");
        assert_eq!(figure(rate(&[])), "-");
    }
}
