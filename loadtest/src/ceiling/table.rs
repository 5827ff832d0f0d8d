//! The ceiling as text, for a terminal of 100 columns.

use super::figures::{BareFigures, CeilingReport, RawFigures};
use crate::report::{Grid, words};

/// The whole report, ending in a line feed.
pub fn table(report: &CeilingReport) -> String {
    let rounds = words::counted(report.rounds as u64, "round");
    let each = words::seconds(report.seconds);
    let mut lines = vec![
        format!("Ceiling of {}: medians of {rounds}, {each} each", words::plain(&report.model, 60)),
        String::new(),
    ];
    if !report.raw.is_empty() {
        lines.push(
            "The model alone (ONNX Runtime in a loop; threads are instances x threads in a run)"
                .into(),
        );
        lines.extend(raw(&report.raw));
        lines.push(
            "  knee: no larger batch gives more than 5 % more rows/s; none marked: they still rise"
                .into(),
        );
        lines.push(String::new());
    }
    if !report.bare.is_empty() {
        lines.push(
            "The wire alone (a server that reads the body and answers the same bytes; closed loop)"
                .into(),
        );
        lines.extend(bare(&report.bare));
        lines.push(String::new());
    }
    for figure in report.bare.iter().filter(|figure| !figure.doubts.is_empty()) {
        let BareFigures { protocol, callers, doubts, .. } = figure;
        lines.push(format!("! {protocol}, {callers} callers: {}", doubts.join("; ")));
    }
    lines.extend(report.notes.iter().map(|note| format!("! {note}")));
    let machine = &report.machine;
    lines.push(format!(
        "{} {}, seed {}, {}; {}, {}; {}",
        report.tool.name,
        report.tool.version,
        report.seed,
        report.started,
        machine.processor,
        words::counted(machine.cores as u64, "core"),
        report.library
    ));
    lines.join("\n") + "\n"
}

fn raw(figures: &[RawFigures]) -> Vec<String> {
    let mut grid = Grid::new(2, &[7]);
    grid.row(["threads", "batch", "rows/s", "p50 ms", "p99 ms", "CPU us/row", "runs", ""]);
    for figure in figures {
        grid.row([
            figure.threads.to_string(),
            figure.batch.to_string(),
            words::rate(figure.rows_per_second),
            words::ms(figure.p50_ms),
            words::ms(figure.p99_ms),
            optional(figure.cpu_us_per_row),
            words::count(figure.runs),
            if figure.knee { "< knee" } else { "" }.to_owned(),
        ]);
    }
    grid.lines()
}

fn bare(figures: &[BareFigures]) -> Vec<String> {
    let mut grid = Grid::new(2, &[9]);
    grid.row([
        "wire",
        "callers",
        "bytes in",
        "out",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU us/request",
        "own cores",
        "",
    ]);
    for figure in figures {
        grid.row([
            figure.protocol.clone(),
            figure.callers.to_string(),
            words::count(figure.request_bytes as u64),
            words::count(figure.answer_bytes as u64),
            words::rate(figure.requests_per_second),
            words::ms(figure.p50_ms),
            words::ms(figure.p99_ms),
            optional(figure.cpu_us_per_request),
            format!("{:.2}", figure.generator_cores),
            if figure.doubts.is_empty() { "" } else { "INVALID" }.to_owned(),
        ]);
    }
    grid.lines()
}

fn optional(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), words::rate)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::ceiling::figures::SCHEMA;
    use crate::ceiling::threads::Threads;
    use crate::figures::{Machine, Tool};

    fn report() -> CeilingReport {
        let raw = RawFigures {
            threads: Threads { instances: NonZeroUsize::MIN, intra_op: NonZeroUsize::MIN },
            batch: 8,
            rows_per_second: 1234.0,
            p50_ms: 6.5,
            p99_ms: 7.25,
            runs: 900,
            cpu_us_per_row: None,
            knee: true,
        };
        let bare = BareFigures {
            protocol: "grpc".to_owned(),
            callers: 32,
            request_bytes: 300,
            answer_bytes: 200,
            requests_per_second: 45_000.0,
            p50_ms: 0.5,
            p99_ms: 1.5,
            requests: 90_000,
            cpu_us_per_request: Some(12.5),
            generator_cores: 0.9,
            doubts: vec!["it was busy".to_owned()],
        };
        CeilingReport {
            schema: SCHEMA.to_owned(),
            tool: Tool { name: "t".to_owned(), version: "1".to_owned() },
            machine: Machine {
                system: "s".to_owned(),
                processor: "p".to_owned(),
                cores: 2,
                memory_bytes: 1,
            },
            started: "2026-01-01T00:00:00Z".to_owned(),
            command: Vec::new(),
            model: "m.onnx".to_owned(),
            library: "lib.so".to_owned(),
            seed: 1,
            rounds: 5,
            seconds: 0.5,
            raw: vec![raw],
            bare: vec![bare],
            notes: vec!["batch 64 was left out".to_owned()],
        }
    }

    #[test]
    fn the_table_shows_the_knee_the_doubts_and_the_notes() {
        let text = table(&report());
        let raw = text.lines().find(|line| line.contains("1x1")).unwrap();
        let cells: Vec<&str> = raw.split_whitespace().collect();
        assert_eq!(cells, ["1x1", "8", "1,234", "6.50", "7.25", "-", "900", "<", "knee"]);
        assert!(text.contains("INVALID"), "{text}");
        assert!(text.contains("! grpc, 32 callers: it was busy"), "{text}");
        assert!(text.contains("! batch 64 was left out"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn figures_without_doubts_are_not_called_invalid() {
        let mut report = report();
        report.bare[0].doubts.clear();
        report.raw[0].knee = false;
        let text = table(&report);
        assert!(!text.contains("INVALID") && !text.contains("< knee"), "{text}");
    }

    #[test]
    fn the_report_reads_back_from_its_json() {
        let text = serde_json::to_string(&report()).unwrap();
        assert!(text.contains(r#""schema":"tidegate-ceiling/1""#), "{text}");
        let read: CeilingReport = serde_json::from_str(&text).unwrap();
        assert_eq!((read.raw, read.bare), (report().raw, report().bare));
    }
}
