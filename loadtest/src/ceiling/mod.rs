//! What can be reached at all: the model alone, per batch size and number of threads, and the wire alone, over HTTP/1.1 and gRPC.
//! Whatever a server gives is a share of these two.
//!
//! Everything is measured in one run and interleaved, because a figure holds only on the machine and in the minute where
//! it was taken. The wire's figures are of a closed loop and share the cores with the generator, whose part is shown.

pub mod bare;
mod cpu;
pub mod echo;
pub mod figures;
mod inputs;
mod knee;
mod measure;
mod question;
mod raw;
mod table;
mod threads;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use tidegate_backend_ort::{LibrarySearch, OrtBackend, OrtRuntime};
use tidegate_configuration::parse_duration;

use crate::{Failure, report};
use bare::{Bare, Protocol};
use figures::{CeilingReport, SCHEMA};
pub use inputs::{Inputs, NamedShape};
use measure::{BareCell, Models, Pace, RawCell, Server, bare_figures, measure, raw_figures};
use question::Conversation;
pub use raw::{Raw, RawRun};
use threads::Threads;

/// Measures what a model gives without a server, and what the wire gives without a model.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The model's file
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Rows in a run of the model
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    batches: Vec<NonZeroUsize>,
    /// Instances x threads within a run; by default one thread, and all cores used either way
    #[arg(long, value_delimiter = ',', value_name = "INSTANCESxTHREADS")]
    threads: Vec<Threads>,
    /// Callers of the bare servers, in a closed loop
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,64")]
    callers: Vec<NonZeroUsize>,
    /// One row of an input with dimensions of any length, without the batch: image=3,224,224
    #[arg(long = "shape", value_name = "NAME=DIMS")]
    shapes: Vec<NamedShape>,
    /// Rounds; each visits everything once
    #[arg(long, default_value = "5")]
    rounds: NonZeroUsize,
    /// How long each is measured in a round
    #[arg(long, default_value = "500ms", value_parser = parse_duration)]
    time: Duration,
    /// Nothing new is begun after this; what has been measured is shown
    #[arg(long, default_value = "10m", value_parser = parse_duration)]
    limit: Duration,
    /// Leaves the bare servers out
    #[arg(long)]
    model_only: bool,
    /// Of the random inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// ONNX Runtime's shared library; otherwise it is found as the gateway finds it
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Writes the figures as JSON
    #[arg(long, value_name = "FILE.json")]
    output: Option<PathBuf>,
    /// Shows nothing while it runs
    #[arg(long)]
    quiet: bool,
}

/// `tidegate_backend_ort::disable_telemetry` must have been called before the first thread was started.
///
/// # Errors
/// When ONNX Runtime or the model cannot be opened, or the model refuses its inputs.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let report = ceiling(arguments)?;
    if let Some(path) = &arguments.output {
        write(&report, path)?;
    }
    report::print(&table::table(&report))?;
    Ok(ExitCode::SUCCESS)
}

fn ceiling(arguments: &Arguments) -> Result<CeilingReport, Failure> {
    let (started, until) = (SystemTime::now(), Instant::now() + arguments.limit);
    let search = LibrarySearch::from_environment(arguments.library.clone());
    let runtime = OrtRuntime::open(&search).map_err(|error| Failure::new(error.to_string()))?;
    let library = runtime.library().display().to_string();
    let threads = match &arguments.threads[..] {
        [] => Threads::usual(cores()?),
        given => given.to_vec(),
    };
    let backend = OrtBackend::new(runtime);
    let mut models = Models::load(&backend, &arguments.model, &threads)
        .map_err(|failure| failure.within(arguments.model.display()))?;
    let inputs = Inputs::new(&models.first()?.signature, &arguments.shapes, arguments.seed)?;
    let mut notes = Vec::new();
    let batches = batches(&arguments.batches, &inputs, &mut notes);
    let mut raw = RawCell::all(&threads, &batches, &inputs)?;
    let servers = match arguments.model_only {
        true => Vec::new(),
        false => servers(models.first()?, &inputs)?,
    };
    let cells =
        |server| arguments.callers.iter().map(move |callers| BareCell::new(server, *callers));
    let mut bare: Vec<BareCell<'_>> = servers.iter().flat_map(cells).collect();
    let pace = Pace { rounds: arguments.rounds, time: arguments.time, until };
    let mut progress = |line: &str| {
        if !arguments.quiet {
            // A terminal that went away is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    };
    let rounds = measure(&mut models, &mut raw, &mut bare, &pace, &mut progress)?;
    if rounds < arguments.rounds.get() {
        let limit = arguments.limit;
        notes.push(format!(
            "stopped after {limit:?} (--limit): {rounds} of {} rounds were completed",
            arguments.rounds
        ));
    }
    Ok(CeilingReport {
        schema: SCHEMA.to_owned(),
        tool: report::tool(),
        machine: report::machine(),
        started: report::rfc3339(started),
        command: std::env::args().collect(),
        model: arguments.model.display().to_string(),
        library,
        seed: arguments.seed,
        rounds,
        seconds: arguments.time.as_secs_f64(),
        raw: raw_figures(&raw),
        bare: bare_figures(&bare),
        notes,
    })
}

/// Ascending, each once. A model whose batch is fixed runs one request at a time, whatever was asked for.
fn batches(asked: &[NonZeroUsize], inputs: &Inputs, notes: &mut Vec<String>) -> Vec<usize> {
    if !inputs.batches() {
        notes
            .push("the model's first dimension is fixed: it runs one request at a time".to_owned());
        return vec![1];
    }
    let mut batches: Vec<usize> = asked.iter().map(|batch| batch.get()).collect();
    batches.sort_unstable();
    batches.dedup();
    batches
}

/// One for each protocol, with as many threads as there are cores, as a gateway has.
fn servers(model: &mut Raw, inputs: &Inputs) -> Result<Vec<Server>, Failure> {
    let (program, threads) = (std::env::current_exe()?, cores()?);
    let row = inputs.batch(1)?;
    let outputs = model.answer(&row)?;
    [Protocol::Http, Protocol::Grpc]
        .into_iter()
        .map(|protocol| {
            let Conversation { exchange, answer } = Conversation::new(protocol, &row, &outputs)?;
            let bare = Bare::start(&program, protocol, &answer, threads)?;
            Ok(Server { bare, protocol, exchange, answer_bytes: answer.len() })
        })
        .collect()
}

fn cores() -> Result<NonZeroUsize, Failure> {
    Ok(std::thread::available_parallelism()?)
}

fn write(report: &CeilingReport, path: &Path) -> Result<(), Failure> {
    let within = |failure: Failure| failure.within(path.display());
    let json =
        serde_json::to_string_pretty(report).map_err(|error| within(error.to_string().into()))?;
    std::fs::write(path, json + "\n").map_err(|error| within(error.into()))
}
