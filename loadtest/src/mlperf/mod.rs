//! `tidegate-loadtest mlperf`: the four scenarios in the manner of MLPerf Inference's load generator.
//!
//! It follows the published rules on how queries are issued and what is measured, and says what they want of duration and
//! counts beside what was run. It is not the load generator of MLPerf, checks no accuracy, and gives no MLPerf result.

mod rules;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use tidegate_configuration::parse_duration;

use crate::Failure;
use crate::arrivals::Pattern;
use crate::exit::{INVALID, NOT_MET};
use crate::figures::{self, Progress, Run};
use crate::load::{Arrivals, Load};
use crate::report::{self, Output};
use crate::run::{Client, Interrupt};
use crate::search::{self, Objective, Phase};
use crate::target::{self, PreparedTarget};

pub use crate::mlperf::rules::{Rules, Scenario, judge};

/// Before a full run, to learn how long its queries take.
const PROBE: Duration = Duration::from_secs(5);
/// Of a full search, the trials before the confirmation.
const TRIAL: Duration = Duration::from_secs(60);

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    target: target::Arguments,
    /// How queries are issued
    #[arg(long, value_enum)]
    scenario: Scenario,
    /// Limit of the 99th percentile (server)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, required_if_eq("scenario", "server"))]
    slo: Option<Duration>,
    /// Recorded time of a run
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration, conflicts_with = "full")]
    duration: Duration,
    /// Run as long, and as many queries, as the rules ask for: ten minutes and more
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    options: search::Options,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    output: Output,
}

/// # Errors
/// When the target cannot be asked, or the report not be written.
pub fn run(mut arguments: Arguments) -> Result<ExitCode, Failure> {
    let rules = arguments.scenario.rules();
    let options = &mut arguments.target.options;
    // A payload brings its own rows, and so does whoever asks offline for more than one at a time.
    if options.payload.is_none() && (rules.samples_per_query > 1 || options.rows.is_none()) {
        options.rows = Some(rules.samples_per_query);
    }
    let Arguments { target, client, output, .. } = &arguments;
    let target = target::prepare(target, client.seed, client.streams())?;
    check_rows(arguments.scenario, &target)?;
    let (command, started) = (std::env::args().collect(), SystemTime::now());
    let session =
        Session { arguments: &arguments, target: &target, interrupt: Interrupt::listen() };
    let (runs, search) = match (arguments.scenario, arguments.slo) {
        (Scenario::Server, Some(slo)) => {
            let (search, runs) = session.highest_rate(slo)?;
            (runs, Some(search))
        }
        _ => (vec![session.closed()?], None),
    };
    let judged = judge(arguments.scenario, arguments.full, &runs, search.as_ref());
    let code = exit_code(&runs, search.as_ref(), judged.passed);
    let mut report = report::report(command, started, client.seed, runs);
    report.search = search;
    report.scenario = Some(judged);
    report::publish(&report, output)?;
    Ok(code)
}

/// Trials of a search may well be invalid; it has told what it makes of them.
fn exit_code(runs: &[Run], search: Option<&figures::Search>, passed: bool) -> ExitCode {
    if search.is_none() && runs.iter().any(|run| !run.validity.valid) {
        INVALID.into()
    } else if passed {
        ExitCode::SUCCESS
    } else {
        NOT_MET.into()
    }
}

fn check_rows(scenario: Scenario, target: &PreparedTarget) -> Result<(), Failure> {
    let wanted = scenario.rules().samples_per_query;
    let other = target.questions.iter().find(|question| question.rows != wanted);
    match other {
        Some(question) if scenario != Scenario::Offline => Err(Failure::new(format!(
            "{scenario} asks {wanted} rows in a query, and the target's questions have {}",
            question.rows
        ))),
        _ => Ok(()),
    }
}

struct Session<'a> {
    arguments: &'a Arguments,
    target: &'a PreparedTarget,
    interrupt: Interrupt,
}

impl Session<'_> {
    /// Single-stream and multi-stream: one query after the other. Offline: all samples are there from the start, so that as many
    /// queries are always under way as there are connections, and the server is never short of work.
    fn closed(&self) -> Result<Run, Failure> {
        let Arguments { scenario, full, duration, client, .. } = self.arguments;
        let callers = match scenario {
            Scenario::Offline => usize::try_from(client.connections).unwrap_or(usize::MAX),
            _ => 1,
        };
        let arrivals = Arrivals::Closed { callers };
        let mut length = *duration;
        if *full {
            let probe = self.drive(client, "probe", arrivals.clone(), PROBE)?;
            length = scenario.rules().length_at(probe.throughput);
        }
        self.drive(client, &scenario.to_string(), arrivals, length)
    }

    fn highest_rate(&self, slo: Duration) -> Result<(figures::Search, Vec<Run>), Failure> {
        let Arguments { scenario, full, duration, options, client, .. } = self.arguments;
        let rules = scenario.rules();
        let objective = Objective::new(vec![(rules.percentile.unwrap_or(0.99), slo)], 0.0);
        search::find(&objective, options, &mut |ask| {
            if self.interrupt.is_set() {
                return Err(Failure::new("interrupted: the search did not come to its end"));
            }
            let length = match (full, ask.phase) {
                (false, _) => *duration,
                (true, Phase::Confirm) => rules.length_at(ask.rate),
                (true, _) => TRIAL,
            };
            // The same schedule twice would confirm nothing.
            let seed = client.seed.wrapping_add(ask.index as u64);
            let client = Client { seed, ..client.clone() };
            let arrivals = Arrivals::Open(Pattern::Poisson { rate: ask.rate });
            self.drive(&client, &scenario.to_string(), arrivals, length)
        })
    }

    fn drive(
        &self,
        client: &Client,
        name: &str,
        arrivals: Arrivals,
        length: Duration,
    ) -> Result<Run, Failure> {
        let load = client.load(name, self.target, arrivals, length);
        let load = Load { slo: self.arguments.slo, ..load };
        let mut live = report::live(&self.arguments.output, name);
        let mut watch = |progress: &Progress| -> ControlFlow<()> {
            live(progress)?;
            self.interrupt.flow()
        };
        client.drive(load, self.target, &mut watch)
    }
}
