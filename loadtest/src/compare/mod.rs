//! Whether B is better than A, by how much, and whether that is more than noise.
//!
//! Runs are what is drawn again, not requests: requests of one run wait in one queue and are far from independent. Five
//! repeats or more carry a verdict; fewer are compared by their seconds, which see the noise within a run and not that
//! between runs, and the answer says so. It decides nothing about limits: a worse B is a finding, not a failure.

mod figure;
mod sides;
mod table;
mod verdict;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::Failure;
use crate::figures::Report;
use crate::report::json;
use crate::statistics::Bootstrap;

pub use crate::compare::verdict::{Compared, Span, Verdict};

/// Two reports, or the two targets of one.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Arguments {
    /// Report of A, or of both
    #[arg(value_name = "A.json")]
    a: PathBuf,
    /// Report of B
    #[arg(value_name = "B.json")]
    b: Option<PathBuf>,
    /// Compare runs that are marked invalid all the same
    #[arg(long)]
    allow_invalid: bool,
    /// Print JSON and no table
    #[arg(long)]
    json: bool,
    /// Of the resampling
    #[arg(long, default_value = "1")]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub allow_invalid: bool,
    pub bootstrap: Bootstrap,
}

impl Options {
    /// Intervals of 95 %, and only valid runs.
    pub fn new(seed: u64) -> Self {
        let bootstrap = Bootstrap { confidence: 0.95, resamples: 10_000, seed };
        Self { allow_invalid: false, bootstrap }
    }
}

/// Everything that is shown of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What a reader has to know before the figures: machines that differ, runs that are invalid.
    pub warnings: Vec<String>,
    pub loads: Vec<LoadComparison>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadComparison {
    /// The load's name.
    pub name: String,
    /// Which reports and targets are meant.
    pub a: String,
    pub b: String,
    pub runs_a: usize,
    pub runs_b: usize,
    /// Repeats were compared one by one with the repeat of the same number.
    pub paired: bool,
    pub figures: Vec<Compared>,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let options =
        Options { allow_invalid: arguments.allow_invalid, ..Options::new(arguments.seed) };
    let a = json::read(&arguments.a)?;
    let comparison = match &arguments.b {
        Some(b) => compare(&a, &json::read(b)?, &options)?,
        None => compare_within(&a, &options)?,
    };
    let text = if arguments.json {
        serde_json::to_string_pretty(&comparison)
            .map_err(|error| Failure::new(format!("the comparison as JSON: {error}")))?
            + "\n"
    } else {
        table::table(&comparison)
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads may have read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Two reports, load by load.
///
/// # Errors
/// Where runs are invalid and that is not allowed, and where there is nothing that both have.
pub fn compare(a: &Report, b: &Report, options: &Options) -> Result<Comparison, Failure> {
    let (sides, warnings) = sides::of_two(a, b)?;
    judged(&sides, warnings, options)
}

/// The two targets of one report, load by load. A is the one that ran first.
///
/// # Errors
/// As [`compare`], and where there are not two.
pub fn compare_within(report: &Report, options: &Options) -> Result<Comparison, Failure> {
    let (sides, warnings) = sides::within(report)?;
    judged(&sides, warnings, options)
}

fn judged(
    sides: &[sides::Sides<'_>],
    mut warnings: Vec<String>,
    options: &Options,
) -> Result<Comparison, Failure> {
    for pair in sides {
        pair.check_one_load()?;
        let invalid = pair.invalid();
        match invalid.first() {
            Some(first) if !options.allow_invalid => {
                return Err(Failure::new(format!(
                    "{first}; invalid runs are compared only with --allow-invalid"
                )));
            }
            _ => warnings.extend(invalid),
        }
        warnings.extend(pair.differences());
    }
    let loads = sides.iter().map(|pair| verdict::load(pair, &options.bootstrap)).collect();
    Ok(Comparison { warnings, loads })
}

#[cfg(test)]
mod tests;
