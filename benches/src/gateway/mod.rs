//! Question: what does the way from HTTP through admission, queue and batch to the model and back
//! cost, for a lone caller and for many?
//!
//! Baselines, interleaved with the gateway in the same run: raw ONNX Runtime, one row at a time (what
//! a server without batching could reach at best) and in batches as large as there are callers (what
//! batching allows); a bare hyper server that reads the same bodies and answers as many bytes (what
//! HTTP allows).
//!
//! Client and server share the machine, so the CPU time of each is reported beside the rates.

mod client;
mod measure;
mod process;
mod question;
mod raw;
mod report;
mod workload;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_backend::LoadOptions;
use tidegate_backend_ort::{LibrarySearch, OrtBackend, OrtRuntime};

use crate::Result;
use crate::output::{Output, progress};
use measure::Bench;
use workload::{Folders, Name, Workload};

/// The gateway's defaults, which its copy of each model is loaded with.
const INSTANCES: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");
const INTRA_OP_THREADS: NonZeroUsize = NonZeroUsize::MIN;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long each arm of a round is loaded
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// Rounds; each visits every arm once
    #[arg(long, default_value = "5")]
    rounds: NonZeroUsize,
    /// Callers in a closed loop
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    callers: Vec<NonZeroUsize>,
    /// Models
    #[arg(long, value_enum, value_delimiter = ',', default_value = "digits,heavy,orientation")]
    models: Vec<Name>,
    /// The gateway's program; otherwise the one that was built beside this one
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    output: Output,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0.05 to 600".to_owned()),
    }
}

pub fn run(options: &Options) -> Result<()> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("tidegate"),
    };
    let backend = OrtBackend::new(OrtRuntime::open(&LibrarySearch::from_environment(None))?);
    let load = LoadOptions { instances: INSTANCES, intra_op_threads: INTRA_OP_THREADS };
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut cases = Vec::new();
    for &name in &options.models {
        let workload = Workload::load(name, &options.folders, &backend, &load)?;
        let mut bench = threads.block_on(Bench::start(workload, &program))?;
        for callers in &options.callers {
            progress(&format!("{name:?}, {callers} callers"));
            let time = Duration::from_secs_f64(options.seconds);
            let rounds = options.rounds.get();
            cases.push(threads.block_on(bench.case(callers.get(), rounds, time))?);
        }
    }
    options.output.write(&report::markdown(&cases, options.rounds.get(), options.seconds))
}
