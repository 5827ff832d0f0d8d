//! Benchmarks. Each asks a question against a baseline, in the same run and interleaved with it,
//! because an absolute number holds only on the machine and in the minute where it was taken.
//!
//! `tidegate-benches agreement`: does the simulator tell what the gateway does?
//! `tidegate-benches gateway`: what does the way from HTTP to the model and back cost?
//! `tidegate-benches harness`: does the load-test harness tell the truth?
//! `tidegate-benches micro`: what do the small parts cost: queue, wake-up, rows, JSON, routing?
//! `tidegate-benches peers`: what do other inference servers do with the same load?
//!
//! Nothing here is asserted: the figures are for people to read. What is checked is that the
//! measured thing did its work, so every answer of every server is looked at.

mod agreement;
mod drive;
mod gateway;
mod harness;
mod micro;
mod output;
mod peers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tidegate_loadtest::ceiling::bare;

/// The allocator of the gateway, so that the baselines do not differ from it in that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Tidegate's benchmarks; each prints Markdown.
#[derive(Debug, Parser)]
#[command(name = "tidegate-benches")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The simulator against the gateway
    Agreement(agreement::Options),
    /// The gateway against raw ONNX Runtime and against a bare HTTP server
    Gateway(gateway::Options),
    /// The load-test harness against servers whose latencies are known, and against other generators
    Harness(harness::Options),
    /// Queue, wake-up, gather and scatter, JSON, routing: each against a baseline of its own
    Micro(micro::Options),
    /// The gateway against other inference servers
    Peers(peers::Options),
    /// Keeps one server, with everything it starts; `peers` starts it
    #[command(hide = true)]
    Keep(peers::keeper::Options),
    /// Does one thing so many times; `micro` starts it to count its instructions
    #[command(hide = true)]
    Operate(micro::Operate),
    /// The server that reads and answers, and does nothing else; others start it
    #[command(hide = true)]
    Bare(bare::Arguments),
    /// The server whose latencies are known; `harness` starts it
    #[command(hide = true)]
    Scripted(harness::scripted::Script),
}

fn main() -> ExitCode {
    // SAFETY: nothing has started a thread yet.
    unsafe { tidegate_backend_ort::disable_telemetry() };
    let done = match Cli::parse().command {
        Command::Agreement(options) => agreement::run(&options),
        Command::Gateway(options) => gateway::run(&options),
        Command::Harness(options) => harness::run(&options),
        Command::Micro(options) => micro::run(&options),
        Command::Operate(options) => micro::operate(&options),
        Command::Peers(options) => peers::run(&options),
        Command::Keep(options) => peers::keeper::run(&options),
        Command::Bare(options) => bare::run(&options).map(drop).map_err(Error::from),
        Command::Scripted(script) => harness::scripted::run(script),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-benches: {error}");
            ExitCode::FAILURE
        }
    }
}
