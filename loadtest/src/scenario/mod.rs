//! A scenario: gateways, loads upon them, what is done to them meanwhile, and what has to be true in the end.
//!
//! The file says it all (docs/scenarios.md); this starts what it names, drives the loads, and judges. Exit status 0 when
//! every criterion was met, 3 when one was not, 4 when one could not be judged because the generator fell behind.

mod actions;
mod calibration;
mod criteria;
mod pace;
mod plan;
mod prepare;
mod process;
mod read;
mod rotation;
mod stage;
mod value;
mod versions;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use self::calibration::calibrate;
use self::criteria::{Judgement, Verdict};
use self::plan::Scenario;
use self::stage::Stage;
use crate::Failure;
use crate::engine::DriveOptions;
use crate::exit;
use crate::figures::{ActionFigures, CriterionFigures, Progress, ScenarioFigures};
use crate::report::{self, Output};
use crate::run::Interrupt;

/// Plays a scenario file and judges it: exit status 3 when a criterion is not met.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario file (TOML)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The gateway to start [default: `tidegate` beside this program]
    #[arg(long, value_name = "FILE")]
    gateway_binary: Option<PathBuf>,
    /// A server that runs already, in place of the gateway that the scenario would start: http://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with = "gateway_binary")]
    target: Option<String>,
    /// The admin port of that server, for actions: http://HOST:PORT
    #[arg(long, value_name = "URL", requires = "target")]
    admin: Option<String>,
    /// Put load on another machine than this one
    #[arg(long)]
    allow_remote: bool,
    /// Play it in so many times the time: 0.25 makes a quarter of it
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = factor)]
    scale_time: f64,
    /// At so many times the rates that are requests per second
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = factor)]
    scale_rate: f64,
    /// Threads of the generator
    #[arg(long, value_name = "COUNT", default_value = "1")]
    threads: usize,
    /// Of arrivals and payloads: the same seed, the same scenario
    #[arg(long, default_value = "1")]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let scenario = read::read(&arguments.file)
        .map_err(|problems| Failure::new(problems.to_string()))?
        .scaled(arguments.scale_time, arguments.scale_rate);
    let started = SystemTime::now();
    if !arguments.output.quiet {
        // Who closed stderr does not want to know.
        let _ = writeln!(io::stderr(), "{}: {}", scenario.name, scenario.description);
    }
    let mut options =
        DriveOptions { threads: arguments.threads, seed: arguments.seed, server_process: None };
    let mut stage = match &arguments.target {
        Some(target) => Stage::of_running(&scenario, target, arguments.admin.as_deref())?,
        None => Stage::set(&scenario, &binary(arguments.gateway_binary.as_deref())?)?,
    };
    options.server_process = stage.only_process(&scenario);
    let mut loads = prepare::loads(&scenario, &stage, arguments.seed, arguments.allow_remote)?;
    // Ended early, gateways are told to leave all the same.
    let interrupt = Interrupt::listen();
    let mut live = report::live(&arguments.output, &scenario.name);
    let mut view = |progress: &Progress| -> ControlFlow<()> {
        live(progress)?;
        interrupt.flow()
    };
    let (capacities, mut runs) =
        calibrate(&scenario.calibration, &scenario.loads, &mut loads, &options, &mut view)?;
    let (driven, actions) = stage.play(&scenario, &loads, &options, &mut view)?;
    let judgements = criteria::judge(&scenario.criteria, &driven, &capacities);
    runs.extend(driven);
    let command = std::env::args().collect();
    let mut report = report::report(command, started, arguments.seed, runs);
    let (figures, status) = conclude(&scenario, judgements, actions);
    report.scenario = Some(figures);
    report::publish(&report, &arguments.output)?;
    Ok(ExitCode::from(status))
}

/// The figures, and the exit status that they are worth.
fn conclude(
    scenario: &Scenario,
    judgements: Vec<Judgement>,
    actions: Vec<ActionFigures>,
) -> (ScenarioFigures, u8) {
    let done = actions.iter().filter(|action| action.ok).count();
    let planned = scenario.actions.len();
    let all_done = done == planned;
    let verdicts: Vec<Verdict> = judgements.iter().map(|judgement| judgement.verdict).collect();
    let status = match () {
        () if !all_done || verdicts.contains(&Verdict::Failed) => exit::NOT_MET,
        () if verdicts.contains(&Verdict::Undecided) => exit::INVALID,
        () => 0,
    };
    let mut criteria: Vec<CriterionFigures> = Vec::new();
    if planned > 0 {
        let (claim, found) = ("every action is done".to_owned(), format!("{done} of {planned}"));
        criteria.push(CriterionFigures { claim, found, passed: all_done });
    }
    criteria.extend(judgements.into_iter().map(|judgement| judgement.figures));
    let name = scenario.name.clone();
    (ScenarioFigures { name, passed: status == 0, criteria, actions }, status)
}

fn binary(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("tidegate"),
    };
    if path.is_file() {
        return Ok(path);
    }
    let path = path.display();
    Err(format!("no gateway at {path}: name it with --gateway-binary, or a server with --target")
        .into())
}

fn factor(text: &str) -> Result<f64, String> {
    let read: Option<f64> = text.parse().ok().filter(|factor| (0.001..=1000.0).contains(factor));
    read.ok_or_else(|| format!("expected a factor from 0.001 to 1000, got {text:?}"))
}
