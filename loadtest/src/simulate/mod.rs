//! The batcher in virtual time: what would this rule make of that load?
//!
//! The gateway's own batcher is driven through made-up instants, with a latency curve in place of a model and an arrival
//! process in place of callers, once for each policy. An hour of load takes seconds, machines may have any size, and one
//! seed gives one answer. What is not simulated: sockets, threads that wait for a core, the cost of the batcher itself (which can
//! be measured beside it).

pub mod callers;
pub mod candidates;
mod crew;
pub mod curve;
pub mod figures;
pub mod measured;
mod plots;
pub mod policy;
mod requests;
pub mod service;
pub mod setting;
mod table;
pub mod tally;
#[cfg(test)]
mod tests;
mod world;

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tidegate_configuration::parse_duration;
use tidegate_inference::Priority;

use crate::arrivals::Pattern;
use crate::ceiling::NamedShape;
use crate::{Failure, report};
use callers::Callers;
use curve::ServiceCurve;
use figures::{CaseFigures, PolicyFigures, SCHEMA, SimulationReport};
use measured::{Measuring, measure};
use policy::Policy;
use service::{Neighbour, Noise, Service};
use setting::{Overheads, Setting};
pub use world::{simulate, simulate_rule};

/// Drives the batcher through made-up time, under several policies.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What a run takes by its rows, 1=9.8ms,8=14ms,...; or a JSON file of that
    #[arg(long, required_unless_present = "model", conflicts_with = "model")]
    curve: Option<ServiceCurve>,
    /// A model whose runs are measured first
    #[arg(long, value_name = "MODEL.onnx")]
    model: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasuringArguments,
    /// When requests are due: a pattern as in `run`, or closed:CALLERS, or closed:CALLERS@PAUSE; may be repeated
    #[arg(long, value_name = "PATTERN")]
    arrivals: Vec<Callers>,
    /// Poisson arrivals at these shares of what the instances can carry, in per cent
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "PERCENT",
        required_unless_present = "arrivals"
    )]
    load: Vec<f64>,
    /// adaptive, eager, fixed:DELAY, deferred and aimd; the last two need an SLO
    #[arg(long, value_delimiter = ',')]
    policies: Vec<Policy>,
    /// Batches that run at the same time, for each model
    #[arg(long, default_value = "1")]
    instances: NonZeroUsize,
    /// Rows in a batch at most
    #[arg(long, default_value = "64")]
    max_batch_size: NonZeroUsize,
    /// Requests that may wait, for each model
    #[arg(long, default_value = "1024")]
    queue_size: NonZeroUsize,
    /// Rows of each request
    #[arg(long, default_value = "1")]
    rows: NonZeroUsize,
    /// By when answers are wanted; goodput counts those within it
    #[arg(long, value_parser = parse_duration)]
    slo: Option<Duration>,
    /// After it nobody waits; requests that would be late are refused
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    /// Levels from 1 to 10, of which each request has one
    #[arg(long, value_delimiter = ',', value_name = "LEVELS")]
    priorities: Vec<u64>,
    /// Around the curve: none, lognormal:VARIATION, measured (with --model), or a file with one factor a line
    #[arg(long, default_value = "none")]
    noise: String,
    /// From one time to another everything takes twice as long, or so many times: 10s..20s@3
    #[arg(long, value_name = "FROM..TO@FACTOR")]
    neighbour: Vec<Neighbour>,
    /// What warm-up tells the batcher, where that is not the truth; or none
    #[arg(long, value_name = "CURVE")]
    believed: Option<String>,
    /// Time of the wire's thread for each request, half before the queue and half after the run
    #[arg(long, default_value = "0us", value_parser = parse_duration)]
    request_overhead: Duration,
    /// From the moment a sleeping worker is woken until it asks
    #[arg(long, default_value = "0us", value_parser = parse_duration)]
    wake_up: Duration,
    /// Models, each with a queue and instances of its own
    #[arg(long, default_value = "1")]
    models: NonZeroUsize,
    /// The k-th model gets requests in proportion to 1 / k^ZIPF
    #[arg(long, default_value_t = 1.0)]
    zipf: f64,
    /// Recorded time
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    duration: Duration,
    /// Simulated before it, and not recorded
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    warm_up: Duration,
    /// Of arrivals and noise
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measures the real time that the batcher takes for each request
    #[arg(long)]
    cost: bool,
    /// Folder for simulation.json and the plots; created if need be
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Shows nothing while it runs
    #[arg(long)]
    quiet: bool,
}

/// Only with `--model`.
#[derive(Debug, clap::Args)]
struct MeasuringArguments {
    /// Rows in the runs of the model
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    batches: Vec<NonZeroUsize>,
    /// One row of an input with dimensions of any length, without the batch: image=3,224,224
    #[arg(long = "shape", value_name = "NAME=DIMS")]
    shapes: Vec<NamedShape>,
    /// Threads in a run of the model
    #[arg(long, default_value = "1")]
    intra_op_threads: NonZeroUsize,
    /// How long each size is measured
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    time: Duration,
    /// ONNX Runtime's shared library; otherwise it is found as the gateway finds it
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
}

/// # Errors
/// When the model cannot be measured, or the arguments do not fit together.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let report = simulation(arguments)?;
    if let Some(folder) = &arguments.output {
        write(&report, folder)?;
    }
    report::print(&table::table(&report))?;
    Ok(ExitCode::SUCCESS)
}

fn simulation(arguments: &Arguments) -> Result<SimulationReport, Failure> {
    let service = service(arguments)?;
    let policies = policies(arguments);
    let setting = setting(arguments, service)?;
    let cases = all_callers(arguments, setting.capacity())?;
    let mut figures = Vec::with_capacity(cases.len());
    for (index, callers) in cases.iter().enumerate() {
        let setting = Setting { callers: callers.clone(), ..setting.clone() };
        let mut case = CaseFigures {
            arrivals: callers.to_string(),
            offered_rate: callers.rate(setting.length()),
            warm_up_s: setting.warm_up.as_secs_f64(),
            duration_s: setting.duration.as_secs_f64(),
            policies: Vec::new(),
        };
        for policy in &policies {
            if !arguments.quiet {
                // A terminal that went away is no reason to stop.
                let _ = writeln!(
                    std::io::stderr(),
                    "{callers} ({} of {}): {policy}",
                    index + 1,
                    cases.len()
                );
            }
            let tally = simulate(&setting, *policy)?;
            case.policies.push(PolicyFigures::new(policy.to_string(), &setting, tally));
        }
        figures.push(case);
    }
    Ok(SimulationReport {
        schema: SCHEMA.to_owned(),
        tool: report::tool(),
        command: std::env::args().collect(),
        seed: setting.seed,
        models: setting.models.get(),
        instances: setting.instances.get(),
        max_batch_size: setting.max_batch_size.get(),
        slo_ms: setting.slo.map(|slo| slo.as_secs_f64() * 1e3),
        capacity: setting.capacity(),
        curve: setting.service.curve,
        cases: figures,
    })
}

fn service(arguments: &Arguments) -> Result<Service, Failure> {
    let neighbours = arguments.neighbour.clone();
    let given = |measured: Option<Noise>| match (&*arguments.noise, measured) {
        ("measured", Some(noise)) => Ok(noise),
        ("measured", None) => Err("--noise measured needs --model".into()),
        (given, _) => given.parse::<Noise>(),
    };
    if let Some(curve) = &arguments.curve {
        return Ok(Service { curve: curve.clone(), noise: given(None)?, neighbours });
    }
    let model = arguments.model.as_deref().ok_or("one of --curve and --model is needed")?;
    let MeasuringArguments { batches, shapes, intra_op_threads, time, library } =
        &arguments.measuring;
    let measuring = Measuring {
        library: library.clone(),
        shapes: shapes.clone(),
        batches: batches.clone(),
        instances: arguments.instances,
        intra_op_threads: *intra_op_threads,
        time: *time,
    };
    let (curve, noise) = measure(model, &measuring)?;
    if !arguments.quiet {
        let _ = writeln!(std::io::stderr(), "measured: {curve}");
    }
    Ok(Service { curve, noise: given(Some(noise))?, neighbours })
}

/// Those that fit, where none were named.
fn policies(arguments: &Arguments) -> Vec<Policy> {
    if !arguments.policies.is_empty() {
        return arguments.policies.clone();
    }
    let ms = Duration::from_millis;
    let mut policies =
        vec![Policy::Adaptive, Policy::Eager, Policy::Fixed(ms(1)), Policy::Fixed(ms(4))];
    if arguments.slo.is_some() {
        policies.extend([Policy::Deferred, Policy::Aimd]);
    }
    policies
}

fn setting(arguments: &Arguments, service: Service) -> Result<Setting, Failure> {
    let believed = match arguments.believed.as_deref() {
        None => Some(service.curve.clone()),
        Some("none") => None,
        Some(curve) => Some(curve.parse()?),
    };
    if !(0.0..=10.0).contains(&arguments.zipf) {
        return Err(
            format!("--zipf: expected a number from 0 to 10, got {}", arguments.zipf).into()
        );
    }
    if arguments.duration.is_zero() {
        return Err("--duration: expected a time above zero".into());
    }
    let any = Callers::Closed { callers: 1, pause: Duration::ZERO };
    let usual = Setting::plain(service.curve.clone(), any);
    let priorities: Vec<_> =
        arguments.priorities.iter().map(|level| Priority::from_wire(*level)).collect();
    Ok(Setting {
        service,
        models: arguments.models,
        zipf: arguments.zipf,
        instances: arguments.instances,
        max_batch_size: arguments.max_batch_size,
        queue_size: arguments.queue_size,
        rows: arguments.rows.get(),
        slo: arguments.slo,
        timeout: arguments.timeout,
        priorities: if priorities.is_empty() { usual.priorities.clone() } else { priorities },
        believed,
        overheads: Overheads { request: arguments.request_overhead, wake_up: arguments.wake_up },
        warm_up: arguments.warm_up,
        duration: arguments.duration,
        seed: arguments.seed,
        cost: arguments.cost,
        ..usual
    })
}

fn all_callers(arguments: &Arguments, capacity: f64) -> Result<Vec<Callers>, Failure> {
    let mut all = arguments.arrivals.clone();
    for percent in &arguments.load {
        if !(0.01..=10_000.0).contains(percent) {
            return Err(format!(
                "--load: expected per cent of the capacity, from 0.01, got {percent}"
            )
            .into());
        }
        // Rounded, so that what is shown is what was simulated.
        let rate = format!("{:.2}", capacity * percent / 100.0);
        let rate = crate::arrivals::rate(&rate).map_err(|error| Failure::new(error.to_string()))?;
        all.push(Callers::Open(Pattern::Poisson { rate }));
    }
    Ok(all)
}

fn write(report: &SimulationReport, folder: &Path) -> Result<(), Failure> {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Failure::from(error).within(path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| Failure::from(error).within(folder.display()))?;
    let json =
        serde_json::to_string_pretty(report).map_err(|error| Failure::new(error.to_string()))?;
    file("simulation.json", &(json + "\n"))?;
    for plot in plots::plots(report) {
        file(&format!("{}.svg", plot.name), &plot.svg)?;
    }
    Ok(())
}
