//! The command line: what can be asked of `tidegate`, and which exit status says how it went.
//!
//! 0: done. 1: it could not be done. 2: it was asked wrongly (usage or configuration).

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Overrides, Problems};
use crate::model::{self, Answer, Model};
use crate::probe::{self, Probe};
use crate::serve;
use crate::traffic;
use crate::weights::{self, Weights};

/// A dynamic-batching inference gateway for ONNX models.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the models of a repository until SIGTERM or SIGINT
    Serve(Serve),
    /// Check the configuration without starting; exit status 2 when there are mistakes
    CheckConfig(Source),
    /// Show how a model's traffic is split, or split it anew, on a running gateway
    Weights(Weights),
    /// Ask a running gateway whether it is ready, or live; exit status 1 when not
    Probe(Probe),
    /// Push, list, activate, roll back, delete and verify the versions of a model repository
    Model(Model),
    /// Print the version of the gateway and of the ONNX Runtime it was tested with
    Version,
}

#[derive(Debug, Args)]
struct Serve {
    /// Write the addresses that were bound to FILE, as JSON, once both ports listen
    #[arg(long, value_name = "FILE", env = "TIDEGATE_PORTS_FILE", hide_env_values = true)]
    ports_file: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

/// Where the configuration comes from: a file, environment over it, flags over both.
#[derive(Debug, Args)]
struct Source {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // Ends the process itself for `--help` and for wrong usage.
    match Cli::parse().command {
        Command::Serve(Serve { ports_file, source }) => match source.read() {
            Ok(config) => {
                serve::run(config, ports_file.as_deref()).unwrap_or_else(|error| complain(1, error))
            }
            Err(problems) => complain(2, problems),
        },
        Command::CheckConfig(source) => match source.read() {
            Ok(config) => match traffic::check(&config.control) {
                Ok(()) => print(&config.to_string()),
                Err(problem) => complain(2, problem),
            },
            Err(problems) => complain(2, problems),
        },
        Command::Weights(asked) => match weights::run(&asked) {
            Ok(table) => print(&table),
            Err(error) => complain(1, error),
        },
        Command::Probe(asked) => match probe::run(&asked) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(1, error),
        },
        Command::Model(asked) => match model::run(&asked) {
            Ok(answer) => tell(answer),
            Err(error) => complain(1, error),
        },
        Command::Version => print(&format!(
            "tidegate {}, tested with ONNX Runtime {}\n",
            env!("CARGO_PKG_VERSION"),
            tidegate_backend_ort::PINNED_VERSION
        )),
    }
}

impl Source {
    fn read(&self) -> Result<Config, Problems> {
        Config::read(self.config.as_deref(), &self.overrides)
    }
}

fn tell(answer: Answer) -> ExitCode {
    for warning in &answer.warnings {
        // As with complaints: what nobody can read is not told.
        let _ = writeln!(io::stderr(), "tidegate: {warning}");
    }
    let printed = print(&answer.text);
    if answer.is_bad { ExitCode::FAILURE } else { printed }
}

fn print(text: &str) -> ExitCode {
    // Whoever closed the pipe has read enough.
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => complain(1, error),
        _ => ExitCode::SUCCESS,
    }
}

fn complain(status: u8, error: impl std::fmt::Display) -> ExitCode {
    // Nothing is left to be told to when stderr is gone too; the status still tells.
    let _ = writeln!(io::stderr(), "tidegate: {error}");
    ExitCode::from(status)
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
