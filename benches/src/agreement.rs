//! Question: do the simulator's latencies agree with the real gateway's, on the same curve and the same arrivals?
//!
//! In each round the model is measured, the gateway is loaded over loopback, and the same load is simulated with the curve and the
//! noise that were just measured. Poisson loads have the same seed on both sides, so the same arrivals. What the gateway's wire and
//! its threads cost is given, because no curve of the model contains it. For the same reason the model leaves a core to wire and
//! generator, unless told otherwise: where they take turns with it on one core, its runs become longer with the load.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_loadtest::arrivals::Pattern;
use tidegate_loadtest::load::Arrivals;
use tidegate_loadtest::simulate::callers::Callers;
use tidegate_loadtest::simulate::measured::{Measuring, measure};
use tidegate_loadtest::simulate::policy::Policy;
use tidegate_loadtest::simulate::service::Service;
use tidegate_loadtest::simulate::setting::{Overheads, Setting};
use tidegate_loadtest::simulate::simulate;
use tidegate_loadtest::statistics::median;
use tidegate_loadtest::target::{Arguments, PreparedTarget, TargetOptions, prepare};

use crate::Result;
use crate::drive::{Drive, SEED};
use crate::gateway::measure::ready;
use crate::gateway::process::Gateway;
use crate::output::{Output, Table, figure, progress};

const WARM_UP: Duration = Duration::from_secs(1);
const SIZES: [usize; 9] = [1, 2, 3, 4, 8, 16, 24, 32, 64];
/// Each size in each round.
const MEASURED: Duration = Duration::from_millis(600);
/// Of what the model can carry in its best batches.
const SHARES: [f64; 3] = [0.3, 0.6, 0.8];
const CALLERS: [usize; 2] = [1, 8];

#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long each load is driven in a round
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Rounds; figures are medians over them
    #[arg(long, default_value = "3")]
    rounds: NonZeroUsize,
    /// The repository that benches/models/make_models.py wrote
    #[arg(long, value_name = "FOLDER", default_value = ".deps/bench-models")]
    repository: PathBuf,
    /// Of which model
    #[arg(long, default_value = "heavy")]
    model: String,
    /// Instances of the model
    #[arg(long, default_value = "1")]
    instances: NonZeroUsize,
    /// Threads in a run of the model
    #[arg(long, default_value = "1")]
    intra_op_threads: NonZeroUsize,
    /// Microseconds of the wire's thread for each request
    #[arg(long, default_value_t = 60)]
    request_overhead_us: u64,
    /// Microseconds from the wake-up of a worker until it asks
    #[arg(long, default_value_t = 30)]
    wake_up_us: u64,
    /// The gateway's program; otherwise the one that was built beside this one
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// One load on both sides; each list has one entry a round.
struct Arm {
    name: String,
    real: Vec<Seen>,
    simulated: Vec<Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    p50: f64,
    p99: f64,
    throughput: f64,
}

pub fn run(options: &Options) -> Result<()> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("tidegate"),
    };
    let configuration = format!(
        "[defaults]\ninstances = {}\nintra_op_threads = {}\n",
        options.instances, options.intra_op_threads
    );
    let gateway = Gateway::configured(&program, &options.repository, &configuration)?;
    let path = format!("/v2/models/{}", options.model);
    let target = format!("http://{}{path}", gateway.data);
    let endpoint = tidegate_loadtest::load::Endpoint::tcp(gateway.data);
    ready(&endpoint, &format!("{path}/ready"))?;
    let target = prepare(&Arguments { target, options: TargetOptions::default() }, SEED, 1)?;
    let mut arms: Vec<Arm> = Vec::new();
    for round in 0..options.rounds.get() {
        progress(&format!("round {} of {}: the model", round + 1, options.rounds));
        let setting = measured(options)?;
        for (index, callers) in loads(setting.capacity()).into_iter().enumerate() {
            let setting = Setting { callers, ..setting.clone() };
            progress(&format!("round {} of {}: {}", round + 1, options.rounds, setting.callers));
            if round == 0 {
                arms.push(Arm { name: name(index), real: Vec::new(), simulated: Vec::new() });
            }
            arms[index].real.push(drive_gateway(&target, &setting)?);
            arms[index].simulated.push(simulated(&setting)?);
        }
    }
    options.output.write(&markdown(options, &arms))
}

/// The model's curve and noise, in a setting that lacks only its callers.
fn measured(options: &Options) -> Result<Setting> {
    let model = options.repository.join(&options.model).join("1/model.onnx");
    let measuring = Measuring {
        library: None,
        shapes: Vec::new(),
        batches: SIZES.into_iter().filter_map(NonZeroUsize::new).collect(),
        instances: options.instances,
        intra_op_threads: options.intra_op_threads,
        time: MEASURED,
    };
    let (curve, noise) = measure(&model, &measuring)?;
    progress(&format!("measured: {curve}"));
    let callers = Callers::Closed { callers: 1, pause: Duration::ZERO };
    Ok(Setting {
        service: Service { noise, curve: curve.clone(), neighbours: Vec::new() },
        instances: options.instances,
        overheads: Overheads {
            request: Duration::from_micros(options.request_overhead_us),
            wake_up: Duration::from_micros(options.wake_up_us),
        },
        warm_up: WARM_UP,
        duration: Duration::try_from_secs_f64(options.seconds)?,
        seed: SEED,
        ..Setting::plain(curve, callers)
    })
}

fn loads(capacity: f64) -> Vec<Callers> {
    let poisson =
        |share: f64| Callers::Open(Pattern::Poisson { rate: (capacity * share).max(1.0) });
    let closed = |callers| Callers::Closed { callers, pause: Duration::ZERO };
    CALLERS.map(closed).into_iter().chain(SHARES.map(poisson)).collect()
}

fn name(index: usize) -> String {
    match (CALLERS.get(index), SHARES.get(index.saturating_sub(CALLERS.len()))) {
        (Some(callers), _) => format!("closed loop of {callers}"),
        (None, Some(share)) => format!("Poisson, {:.0} % of capacity", share * 100.0),
        (None, None) => format!("load {index}"),
    }
}

fn drive_gateway(target: &PreparedTarget, setting: &Setting) -> Result<Seen> {
    let arrivals = match &setting.callers {
        Callers::Open(pattern) => Arrivals::Open(pattern.clone()),
        Callers::Closed { callers, .. } => Arrivals::Closed { callers: *callers },
    };
    let (warm_up, duration) = (setting.warm_up, setting.duration);
    let drive = Drive { name: "agreement".to_owned(), arrivals, warm_up, duration, process: None };
    let run = drive.at(target)?;
    for reason in &run.validity.reasons {
        progress(&format!("not to be believed: {reason}"));
    }
    let latency = run.best_latency();
    Ok(Seen { p50: latency.p50_ms, p99: latency.p99_ms, throughput: run.throughput })
}

fn simulated(setting: &Setting) -> Result<Seen> {
    let tally = simulate(setting, Policy::Adaptive)?;
    let throughput = tally.right as f64 / setting.duration.as_secs_f64();
    Ok(Seen { p50: tally.latency.ms(0.5), p99: tally.latency.ms(0.99), throughput })
}

fn markdown(options: &Options, arms: &[Arm]) -> String {
    let mut table = Table::new(
        &["load"],
        &[
            "real p50 ms",
            "simulated",
            "ratio",
            "real p99 ms",
            "simulated",
            "ratio",
            "real/s",
            "simulated",
            "ratio",
        ],
    );
    for arm in arms {
        let of = |seen: &[Seen], figure: fn(&Seen) -> f64| median(seen.iter().map(figure));
        let figures: [fn(&Seen) -> f64; 3] =
            [|seen| seen.p50, |seen| seen.p99, |seen| seen.throughput];
        let mut cells = vec![arm.name.clone()];
        for each in figures {
            let ratios =
                arm.simulated.iter().zip(&arm.real).map(|(ours, real)| each(ours) / each(real));
            cells.push(figure(of(&arm.real, each)));
            cells.push(figure(of(&arm.simulated, each)));
            cells.push(format!("{:.2}", median(ratios)));
        }
        table.row(cells);
    }
    format!(
        "The simulator beside the gateway: {}, {} x {} threads; medians of {} rounds of {} s; {} us a request, {} us a wake-up.\n\n{}",
        options.model,
        options.instances,
        options.intra_op_threads,
        options.rounds,
        options.seconds,
        options.request_overhead_us,
        options.wake_up_us,
        table.into_markdown()
    )
}
