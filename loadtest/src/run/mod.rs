//! `tidegate-loadtest run`: one load, or two in turn, or a search for the highest rate.
//!
//! It only composes: the target prepares what is asked, the client says how, the engine asks, the report shows.

mod client;
mod interrupt;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use tidegate_configuration::parse_duration;

use crate::Failure;
use crate::arrivals::{self, Pattern};
use crate::exit::{INVALID, NOT_MET};
use crate::figures::{self, Progress, Run};
use crate::load::{Arrivals, Load};
use crate::report::{self, Output};
use crate::search;
use crate::target::{self, PreparedTarget};

pub use client::Client;
pub use interrupt::Interrupt;

#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    target: target::Arguments,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    search: Search,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Arrivals")]
#[group(id = "arrival", required = true, multiple = true)]
struct When {
    /// Open loop, Poisson arrivals at so many requests per second
    #[arg(long, value_name = "RATE", value_parser = arrivals::rate, group = "arrival",
          conflicts_with_all = ["arrivals", "callers", "find_rate"])]
    rate: Option<f64>,
    /// Open loop: constant:100, poisson:500, bursty:1000/50@1s/4s, steps:100@10s,200@10s,
    /// ramp:100..1000@60s or trace:FILE
    #[arg(long, value_name = "PATTERN", group = "arrival", conflicts_with = "callers")]
    arrivals: Option<Pattern>,
    /// Closed loop: so many callers, each of which asks again when it has its answer
    #[arg(long, value_name = "COUNT", group = "arrival",
          value_parser = clap::value_parser!(u64).range(1..=65_536))]
    callers: Option<u64>,
    /// Search for the highest rate that meets --p99 and the like
    #[arg(long, group = "arrival", conflicts_with_all = ["callers", "versus"])]
    find_rate: bool,
    /// Recorded time of a run
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Goodput counts right answers within this time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    slo: Option<Duration>,
    /// Runs of each target
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=1000))]
    repeat: u64,
    /// A second target, run in turn with the first: compare judges between them
    #[arg(long, value_name = "URL")]
    versus: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Search (--find-rate)")]
struct Search {
    #[command(flatten)]
    limits: search::Limits,
    #[command(flatten)]
    options: search::Options,
}

/// # Errors
/// When the target cannot be asked, or the report not be written.
pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { target, when, search, client, output } = arguments;
    let prepare =
        |target: &target::Arguments| target::prepare(target, client.seed, client.streams());
    let mut targets = vec![prepare(&target)?];
    if let Some(versus) = &when.versus {
        let other = target::Arguments { target: versus.clone(), ..target.clone() };
        targets.push(prepare(&other)?);
    }
    let (command, started) = (std::env::args().collect(), SystemTime::now());
    let interrupt = Interrupt::listen();
    let session = Session { when: &when, client: &client, output: &output, interrupt };
    if when.find_rate {
        let (found, runs) = session.search(&targets[0], &search)?;
        let code = if found.rate.is_some() { ExitCode::SUCCESS } else { NOT_MET.into() };
        let mut report = report::report(command, started, client.seed, runs);
        report.search = Some(found);
        report::publish(&report, &output)?;
        return Ok(code);
    }
    let runs = session.repeats(&targets)?;
    let valid = runs.iter().all(|run| run.validity.valid);
    report::publish(&report::report(command, started, client.seed, runs), &output)?;
    Ok(if valid { ExitCode::SUCCESS } else { INVALID.into() })
}

struct Session<'a> {
    when: &'a When,
    client: &'a Client,
    output: &'a Output,
    interrupt: Interrupt,
}

impl Session<'_> {
    /// A B A B: what disturbs the machine for a while disturbs both.
    fn repeats(&self, targets: &[PreparedTarget]) -> Result<Vec<Run>, Failure> {
        let mut runs = Vec::new();
        let repeats = usize::try_from(self.when.repeat).unwrap_or(usize::MAX);
        for repeat in 0..repeats {
            for (index, target) in targets.iter().enumerate() {
                if self.interrupt.is_set() {
                    return Ok(runs);
                }
                let name = if index == 0 { "A" } else { "B" };
                let name = if targets.len() > 1 { name } else { "load" };
                let load = self.load(name, target, self.arrivals());
                let title = if repeats > 1 {
                    format!("{name}, run {} of {repeats}", repeat + 1)
                } else {
                    name.to_owned()
                };
                let mut run = self.drive(self.client, load, target, &title)?;
                run.repeat = repeat;
                runs.push(run);
            }
        }
        Ok(runs)
    }

    fn search(
        &self,
        target: &PreparedTarget,
        search: &Search,
    ) -> Result<(figures::Search, Vec<Run>), Failure> {
        search::find(&search.limits.objective(), &search.options, &mut |ask| {
            if self.interrupt.is_set() {
                return Err(Failure::new("interrupted: the search did not come to its end"));
            }
            let load = self.load("search", target, Arrivals::Open(self.pattern_at(ask.rate)));
            // What is searched for is what is good, unless something else was said to be.
            let load = Load { slo: load.slo.or(search.limits.p99), ..load };
            let title = format!("{} {:.0} requests/s", ask.phase.name(), ask.rate);
            // The same schedule twice would confirm nothing.
            let client = Client {
                seed: self.client.seed.wrapping_add(ask.index as u64),
                ..self.client.clone()
            };
            self.drive(&client, load, target, &title)
        })
    }

    fn load(&self, name: &str, target: &PreparedTarget, arrivals: Arrivals) -> Load {
        let load = self.client.load(name, target, arrivals, self.when.duration);
        Load { slo: self.when.slo, ..load }
    }

    fn drive(
        &self,
        client: &Client,
        load: Load,
        target: &PreparedTarget,
        title: &str,
    ) -> Result<Run, Failure> {
        let mut live = report::live(self.output, title);
        let mut watch = |progress: &Progress| -> ControlFlow<()> {
            live(progress)?;
            self.interrupt.flow()
        };
        client.drive(load, target, &mut watch)
    }

    fn arrivals(&self) -> Arrivals {
        match (&self.when.arrivals, self.when.rate, self.when.callers) {
            (Some(pattern), _, _) => Arrivals::Open(pattern.clone()),
            (None, Some(rate), _) => Arrivals::Open(Pattern::Poisson { rate }),
            (None, None, callers) => Arrivals::Closed {
                callers: usize::try_from(callers.unwrap_or(1)).unwrap_or(usize::MAX),
            },
        }
    }

    /// The course that was asked for, at this rate on average; Poisson if none was.
    fn pattern_at(&self, rate: f64) -> Pattern {
        match &self.when.arrivals {
            Some(pattern) => {
                let length = self.client.warm_up + self.when.duration;
                pattern.scaled(rate / pattern.mean_rate(length).max(f64::MIN_POSITIVE))
            }
            None => Pattern::Poisson { rate },
        }
    }
}
