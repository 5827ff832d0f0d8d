//! What an engine offers: loading a version, and running one batch at a time on each instance of it.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tidegate_batcher::TensorView;
use tidegate_inference::{Error, ErrorKind, Result, Signature, Tensor};

/// An engine. Loading blocks, so it is called from a thread that may block.
pub trait Backend: Send + Sync + 'static {
    /// The engine in Triton's vocabulary: `onnxruntime_onnx`.
    fn platform(&self) -> &'static str;

    /// Loads the version that lies in the folder, once for each instance.
    ///
    /// # Errors
    /// When the version cannot be served; the others go on.
    fn load(&self, version_dir: &Path, options: &LoadOptions) -> Result<Loaded, LoadError>;
}

#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Copies that run side by side.
    pub instances: NonZeroUsize,
    /// Threads that one run may use.
    pub intra_op_threads: NonZeroUsize,
}

/// A loaded version: its contract, and as many instances as were asked for.
pub struct Loaded {
    pub signature: Signature,
    pub instances: Vec<Box<dyn Instance>>,
}

/// One executable copy of a version, owned by one thread.
pub trait Instance: Send {
    /// Runs one batch. Inputs come and outputs go in the order of the signature.
    ///
    /// # Errors
    /// When the model fails on these inputs.
    fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>>;
}

/// Why a version cannot be served, in words that an operator can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(String);

impl LoadError {
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Runs a batch and turns a panic of the engine into the batch's error: whoever else waits for this
/// thread is not to suffer for it.
pub(crate) fn run_caught(
    instance: &mut dyn Instance,
    inputs: &[TensorView<'_>],
) -> Result<Vec<Tensor>> {
    // An instance that panicked is used again. It is the engine's own state that could be torn, and
    // an engine whose state can be torn by one batch would report it on the next.
    catch_unwind(AssertUnwindSafe(|| instance.run(inputs))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(Error::new(ErrorKind::ModelFailed, format!("the engine panicked: {text}")))
    })
}
