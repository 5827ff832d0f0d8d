//! Question: what does the way from HTTP through admission, queue and batch to the model and back cost, for a lone caller,
//! for many, and for callers who do not wait for each other?
//!
//! Baselines, interleaved with the gateway in the same run: raw ONNX Runtime, with at most as many rows in flight as there are
//! callers (what the model allows); a bare hyper server that reads the same bodies and answers the same bytes, JSON parsed and
//! written by serde_json, and for gRPC a bare tonic one (what the wire allows). Beside them stand the targets that the project has set itself.
//!
//! Generator and server share the machine, so the CPU of each is shown, and a run in which the generator was the limit
//! is marked.

pub(crate) mod measure;
mod plots;
pub(crate) mod process;
mod report;
mod to_beat;
mod workload;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tidegate_backend_ort::{LibrarySearch, OrtBackend, OrtRuntime};

use crate::Result;
use crate::output::progress;
use measure::{Bench, Pace};
use workload::{Folders, Name, Workload};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long the gateway is loaded in each arm of a round; baselines take half of it
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// Rounds; each visits every arm once
    #[arg(long, default_value = "5")]
    rounds: NonZeroUsize,
    /// A smoke run: two rounds of a fifth of a second, whose figures are worth nothing
    #[arg(long, conflicts_with_all = ["seconds", "rounds"])]
    quick: bool,
    /// Callers in a closed loop
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,64")]
    callers: Vec<NonZeroUsize>,
    /// Models
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "tiny,tiny-binary,tiny-grpc,heavy,digits,orientation"
    )]
    models: Vec<Name>,
    /// The gateway's program; otherwise the one that was built beside this one
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    #[command(flatten)]
    folders: Folders,
    /// Write the Markdown to FILE, and its plots beside it, instead of to stdout
    #[arg(long, value_name = "FILE.md")]
    output: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0.05 to 600".to_owned()),
    }
}

impl Options {
    fn pace(&self) -> Pace {
        let (rounds, seconds) =
            if self.quick { (2, 0.2) } else { (self.rounds.get(), self.seconds) };
        Pace { rounds, time: Duration::from_secs_f64(seconds) }
    }
}

pub fn run(options: &Options) -> Result<()> {
    let (started, pace) = (SystemTime::now(), options.pace());
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("tidegate"),
    };
    let backend = OrtBackend::new(OrtRuntime::open(&LibrarySearch::from_environment(None))?);
    let mut cases = Vec::new();
    for (index, &name) in options.models.iter().enumerate() {
        let at = format!("model {} of {}, {name:?}", index + 1, options.models.len());
        progress(&format!("{at}: starting"));
        let workload = Workload::load(name, &options.folders, &backend)?;
        let mut bench = Bench::start(workload, &program, &options.callers)?;
        cases.push(bench.case(&pace, &mut |line| progress(&format!("{at}: {line}")))?);
    }
    report::write(&cases, &pace, started, options.output.as_deref())
}
