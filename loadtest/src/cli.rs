//! The command line: one subcommand, one module.

use std::process::ExitCode;

use clap::Parser;

use crate::{Failure, ceiling, compare, mlperf, report, run};

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
    /// Single-stream, multi-stream, server and offline, in the manner of MLPerf Inference
    Mlperf(Box<mlperf::Arguments>),
    /// Measure what the machine allows: raw ONNX Runtime, bare HTTP and bare gRPC
    Ceiling(ceiling::Arguments),
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
        Command::Mlperf(arguments) => mlperf::run(*arguments),
        Command::Ceiling(arguments) => ceiling::run(&arguments),
        Command::Report(arguments) => report::run(arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
