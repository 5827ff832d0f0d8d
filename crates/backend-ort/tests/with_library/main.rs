//! Claims that need ONNX Runtime itself, on the models of `tests/fixtures`. Without the library they
//! are skipped, with a line that says so; a library that is there and broken fails them.

mod datatypes;
mod opening;
mod rebuilding;
mod refusals;
mod safety;
mod telemetry;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

use tidegate_backend::{Backend, LoadError, LoadOptions, Loaded};
use tidegate_backend_ort::{
    LibraryError, LibrarySearch, OrtBackend, OrtRuntime, disable_telemetry,
};

fn backend() -> Option<OrtBackend> {
    static TELEMETRY: Once = Once::new();
    // SAFETY: the standard library orders its own readers of the environment against this writer;
    // the only others here are ONNX Runtime's threads, and it is opened after this.
    TELEMETRY.call_once(|| unsafe { disable_telemetry() });
    let search = LibrarySearch::from_environment(None);
    if let Err(missing @ LibraryError::Missing { .. }) = search.find() {
        eprintln!("skipped: {missing}");
        return None;
    }
    Some(OrtBackend::new(OrtRuntime::open(&search).expect("a library that was found opens")))
}

fn version_dir(model: &str) -> PathBuf {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/models");
    PathBuf::from(models).join(model).join("1")
}

fn load(backend: &OrtBackend, model: &str) -> Result<Loaded, LoadError> {
    let one = NonZeroUsize::MIN;
    let options = LoadOptions { instances: one, intra_op_threads: one };
    backend.load(&version_dir(model), &options)
}

/// A run of one ignored test: a process has one runtime, and one environment.
fn in_a_process_of_its_own(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test knows its program"));
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("ORT_DISABLE_TELEMETRY");
    command
}
