//! What is asked: a model, how it is asked, and its inputs for the model alone.
//!
//! tiny         16 numbers, one MatMul, V2 JSON: the server itself is what shows
//! heavy        seven layers of 2048, V2 JSON: a batch costs little more than a row
//! digits       the demo, 64 numbers, V2 JSON: small, as most models that are not on a GPU
//! orientation  a real convolutional network on images, V2 binary: compute-bound from the first row

use std::path::PathBuf;

use tidegate_backend::{Backend, LoadOptions};
use tidegate_backend_ort::OrtBackend;
use tidegate_loadtest::ceiling::{Inputs, Raw};

use crate::Result;

/// Of the inputs that the model is given alone.
const SEED: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    Tiny,
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
    /// Whether tensors travel in binary form.
    pub binary: bool,
    pub repository: PathBuf,
    pub raw: Raw,
    pub inputs: Inputs,
}

impl Workload {
    pub fn load(
        name: Name,
        folders: &Folders,
        backend: &OrtBackend,
        options: &LoadOptions,
    ) -> Result<Self> {
        let bench_models = folders.bench_models.clone();
        let (model, version, binary, repository) = match name {
            Name::Tiny => ("tiny", 1, false, bench_models),
            Name::Heavy => ("heavy", 1, false, bench_models),
            Name::Digits => ("digits", 2, false, folders.demo.join("repository")),
            Name::Orientation => ("orientation", 1, true, bench_models),
        };
        let folder = repository.join(model).join(version.to_string());
        let raw = Raw::new(backend.load(&folder, options))
            .map_err(|error| format!("{}: {error}; `make bench` makes it", folder.display()))?;
        let inputs = Inputs::new(&raw.signature, &[], SEED)?;
        Ok(Self { name, model, version, binary, repository, raw, inputs })
    }

    pub fn wire(&self) -> &'static str {
        if self.binary { "binary" } else { "JSON" }
    }
}
