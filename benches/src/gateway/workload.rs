//! What is asked: a model, how it is asked, and its inputs for the model alone.
//!
//! tiny         16 numbers, one MatMul, V2 JSON: the server itself is what shows
//! tiny-binary  the same, V2 binary
//! tiny-grpc    the same, V2 gRPC with raw contents
//! heavy        seven layers of 2048, V2 JSON: a batch costs little more than a row
//! digits       the demo, 64 numbers, V2 JSON: small, as most models that are not on a GPU
//! orientation  a real convolutional network on images, V2 binary: compute-bound from the first row

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use tidegate_backend::{Backend, LoadOptions};
use tidegate_backend_ort::OrtBackend;
use tidegate_loadtest::ceiling::{Inputs, Raw};

use crate::Result;

/// Of the inputs that the model is given alone.
const SEED: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    Tiny,
    TinyBinary,
    TinyGrpc,
    Heavy,
    Digits,
    Orientation,
}

#[derive(Debug, clap::Args)]
pub struct Folders {
    /// Where the demo lies
    #[arg(long, value_name = "FOLDER", default_value = "examples/digits")]
    demo: PathBuf,
    /// The repository that benches/models/make_models.py wrote
    #[arg(long, value_name = "FOLDER", default_value = ".deps/bench-models")]
    bench_models: PathBuf,
}

pub struct Workload {
    pub name: Name,
    pub model: &'static str,
    pub version: u64,
    pub wire: Wire,
    pub repository: PathBuf,
    /// The ways to share the cores: so many instances, each with so many threads.
    pub raw: Vec<(Threads, Raw)>,
    pub inputs: Inputs,
}

/// How tensors travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Json,
    Binary,
    Grpc,
}

impl Wire {
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Binary => "binary",
            Self::Grpc => "gRPC",
        }
    }
}

/// How a copy of the model uses the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    pub instances: NonZeroUsize,
    /// In each run.
    pub intra_op: NonZeroUsize,
}

impl Threads {
    /// One run after the other on all cores, and a run on each core.
    fn all(cores: NonZeroUsize) -> Vec<Self> {
        let one = NonZeroUsize::MIN;
        let mut all = vec![Self { instances: one, intra_op: cores }];
        if cores > one {
            all.push(Self { instances: cores, intra_op: one });
        }
        all
    }
}

impl Workload {
    pub fn load(name: Name, folders: &Folders, backend: &OrtBackend) -> Result<Self> {
        let bench_models = folders.bench_models.clone();
        let (model, version, wire, repository) = match name {
            Name::Tiny => ("tiny", 1, Wire::Json, bench_models),
            Name::TinyBinary => ("tiny", 1, Wire::Binary, bench_models),
            Name::TinyGrpc => ("tiny", 1, Wire::Grpc, bench_models),
            Name::Heavy => ("heavy", 1, Wire::Json, bench_models),
            Name::Digits => ("digits", 2, Wire::Json, folders.demo.join("repository")),
            Name::Orientation => ("orientation", 1, Wire::Binary, bench_models),
        };
        let folder = repository.join(model).join(version.to_string());
        let load = |threads: Threads| -> Result<(Threads, Raw)> {
            let Threads { instances, intra_op } = threads;
            let options = LoadOptions { instances, intra_op_threads: intra_op };
            let raw = Raw::new(backend.load(&folder, &options))
                .map_err(|error| format!("{}: {error}; `make bench` makes it", folder.display()))?;
            Ok((threads, raw))
        };
        let raw: Vec<_> =
            Threads::all(available_parallelism()?).into_iter().map(load).collect::<Result<_>>()?;
        let (_, first) = raw.first().ok_or("there is a way to share the cores")?;
        let inputs = Inputs::new(&first.signature, &[], SEED)?;
        Ok(Self { name, model, version, wire, repository, raw, inputs })
    }
}
