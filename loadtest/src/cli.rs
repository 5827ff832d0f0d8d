//! The command line: one subcommand, one module.

use std::process::ExitCode;

use clap::Parser;

use crate::{Failure, ceiling, compare, mlperf, report, run, scenario, simulate};

/// Takes a load to an inference server, and tells what it carries.
///
/// Requests are due on a schedule that does not wait for answers, and latency counts from the time at which a request was
/// due. A run whose generator could not keep its schedule is marked invalid.
#[derive(Debug, Parser)]
#[command(name = "tidegate-loadtest", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Drive a load, or search for the highest rate that meets an objective
    Run(Box<run::Arguments>),
    /// Say whether one of two reports is better, by how much, and whether that is more than noise
    Compare(compare::Arguments),
    /// Drive the loads of a scenario file, do its actions, and judge its criteria
    Scenario(scenario::Arguments),
    /// Single-stream, multi-stream, server and offline, in the manner of MLPerf Inference
    Mlperf(Box<mlperf::Arguments>),
    /// Measure what the machine allows: raw ONNX Runtime, bare HTTP and bare gRPC
    Ceiling(ceiling::Arguments),
    /// Drive the batcher through made-up time, and compare its rules
    Simulate(Box<simulate::Arguments>),
    /// The server that reads and answers, and does nothing else; `ceiling` starts it
    #[command(hide = true)]
    Bare(ceiling::bare::Arguments),
    /// Draw a report again from its JSON file
    Report(report::Arguments),
}

/// 0: done. 1: could not be done. 2: not understood. 3: done, and what was asked for was not met. 4: done, and
/// not to be believed.
pub fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("tidegate-loadtest: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Scenario(arguments) => scenario::run(arguments),
        Command::Mlperf(arguments) => mlperf::run(*arguments),
        Command::Ceiling(arguments) => ceiling::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Bare(arguments) => ceiling::bare::run(&arguments),
        Command::Report(arguments) => report::run(arguments),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    const PAGE: &str = include_str!("../../docs/loadtest.md");

    fn options(command: &clap::Command) -> BTreeSet<String> {
        let long = |argument: &clap::Arg| argument.get_long().map(|long| format!("--{long}"));
        command.get_arguments().filter_map(long).filter(|long| long != "--help").collect()
    }

    /// Whatever stands on the page as `--word`.
    fn named() -> BTreeSet<String> {
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        let words = PAGE.split(ends).filter(|word| word.starts_with("--") && word.len() > 2);
        words.filter(|word| !word.starts_with("---")).map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_names_every_option_of_run() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").expect("a subcommand");
        let missing: Vec<_> = options(run).difference(&named()).cloned().collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_manual_names_no_option_that_does_not_exist() {
        let cli = Cli::command();
        let mut known: BTreeSet<String> = cli.get_subcommands().flat_map(options).collect();
        known.insert("--help".to_owned());
        let unknown: Vec<_> = named().difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
