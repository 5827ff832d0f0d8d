//! What people see: a live view while it runs, a table at the end, and a folder with JSON, `.hgrm` and a page.
//!
//! Nothing is computed here that is not in [`Report`], so every view can be drawn again from the JSON file.
//! The table goes to stdout, all else that is said goes to stderr.

#[cfg(test)]
mod documented;
mod groups;
pub mod hgrm;
pub mod html;
mod instant;
pub mod json;
mod live;
mod machine;
#[cfg(test)]
mod sample;
pub mod svg;
mod table;
pub mod words;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use crate::Failure;
use crate::figures::{Report, Run, SCHEMA, Tool};
use crate::histogram::Recorded;

pub use instant::rfc3339;
pub use live::live;
pub use machine::machine;
pub(crate) use table::Grid;
pub use table::table;

/// Where results go.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Output {
    /// Folder for report.json, report.html, plots and percentile files; created if need be
    #[arg(long = "output", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Show nothing while it runs; the table at the end is always shown
    #[arg(long)]
    pub quiet: bool,
}

/// Draws the report of an earlier run again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A report.json that an earlier run wrote
    #[arg(value_name = "FILE.json")]
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let report = json::read(&arguments.file)?;
    publish(&report, &arguments.output)?;
    Ok(ExitCode::SUCCESS)
}

/// A report of these runs, on this machine; `started` is when the first of them was.
pub fn report(command: Vec<String>, started: SystemTime, seed: u64, runs: Vec<Run>) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        tool: tool(),
        machine: machine(),
        started: rfc3339(started),
        command,
        seed,
        runs,
        search: None,
        scenario: None,
    }
}

pub fn tool() -> Tool {
    Tool { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// Prints the table, and writes the folder if one was asked for.
pub fn publish(report: &Report, output: &Output) -> Result<(), Failure> {
    print(&table(report))?;
    let Some(folder) = &output.folder else { return Ok(()) };
    for path in write_folder(report, folder)? {
        if !output.quiet {
            let _ = writeln!(io::stderr(), "wrote {}", path.display());
        }
    }
    Ok(())
}

/// A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let plain = !stdout.is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let text = if plain { text.to_owned() } else { painted(text) };
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::from(error).within("standard output")),
    }
}

/// Verdicts in red and green.
fn painted(text: &str) -> String {
    let paint = |line: &str| match line.trim_start().split([':', ' ']).next() {
        Some("INVALID" | "FAILED" | "FAIL") => format!("\u{1b}[1;31m{line}\u{1b}[0m\n"),
        Some("PASSED" | "pass") => format!("\u{1b}[32m{line}\u{1b}[0m\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(paint).collect()
}

/// Answers with the files that a person opens first.
fn write_folder(report: &Report, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let within = |path: &Path| {
        let place = path.display().to_string();
        move |error: io::Error| Failure::from(error).within(place)
    };
    fs::create_dir_all(folder).map_err(within(folder))?;
    let file = folder.join("report.json");
    json::write(report, &file)?;
    for (index, run) in report.runs.iter().enumerate() {
        for (kind, histogram) in histograms(run) {
            let path = folder.join(format!("{}-{kind}.hgrm", stem(index, run)));
            fs::write(&path, hgrm::distribution(histogram)).map_err(within(&path))?;
        }
    }
    for figure in svg::figures(report) {
        let path = folder.join(format!("{}.svg", figure.name));
        fs::write(&path, figure.svg).map_err(within(&path))?;
    }
    let page = folder.join("report.html");
    fs::write(&page, html::page(report)).map_err(within(&page))?;
    Ok(vec![file, page])
}

fn histograms(run: &Run) -> Vec<(&'static str, &Recorded)> {
    let corrected = run.latency.as_ref().map(|latency| ("corrected", &latency.histogram));
    let uncorrected = ("uncorrected", &run.latency_uncorrected.histogram);
    corrected.into_iter().chain([uncorrected]).collect()
}

/// A file name that says which run it is, whatever the load is called.
fn stem(index: usize, run: &Run) -> String {
    let name: String = run.name.chars().take(40).map(safe).collect();
    format!("{:02}-{}", index + 1, name.trim_matches('-'))
}

fn safe(c: char) -> char {
    if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_holds_all_that_was_promised() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_folder(&sample::single(), &folder.path().join("new")).unwrap();
        assert!(files.iter().all(|file| file.exists()), "{files:?}");
        let names = [
            "01-digits-batches.svg",
            "01-digits-corrected.hgrm",
            "01-digits-latency.svg",
            "01-digits-throughput.svg",
            "01-digits-uncorrected.hgrm",
            "latency-percentiles.svg",
            "report.html",
            "report.json",
        ];
        let written = fs::read_dir(folder.path().join("new")).unwrap();
        let mut written: Vec<_> =
            written.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        written.sort();
        assert_eq!(written, names);
    }

    #[test]
    fn a_name_from_outside_cannot_leave_the_folder() {
        let mut report = sample::single();
        report.runs[0].name = "../../etc/passwd\u{0}".to_owned();
        assert_eq!(stem(0, &report.runs[0]), "01-etc-passwd");
    }

    #[test]
    fn verdicts_are_painted_and_nothing_else() {
        let text = painted("INVALID: x\nrate\nPASSED: y\n");
        assert_eq!(text, "\u{1b}[1;31mINVALID: x\u{1b}[0m\nrate\n\u{1b}[32mPASSED: y\u{1b}[0m\n");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let failure = write_folder(&sample::single(), &file.join("out")).expect_err("not a folder");
        assert!(failure.to_string().contains("file/out: "), "{failure}");
    }
}
