//! What an engine offers: loading a version, and running one batch at a time on each instance of it.

use std::any::Any;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use tidegate_batcher::TensorView;
use tidegate_inference::{Error, ErrorKind, Signature, Tensor};

/// An engine. Loading blocks, so it is called from a thread that may block.
pub trait Backend: Send + Sync + 'static {
    /// The engine in Triton's vocabulary: `onnxruntime_onnx`.
    fn platform(&self) -> &'static str;

    /// Loads the version that lies in the folder, once for each instance.
    ///
    /// # Errors
    /// When the version cannot be served; the others go on.
    fn load(&self, version_dir: &Path, options: &LoadOptions) -> Result<Loaded, LoadError>;

    /// Gives back to the system what versions that have ended left behind, as far as the engine can.
    fn give_back_memory(&self) {}
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
    pub rebuild: Rebuild,
}

/// Makes one more instance of the same version from the same folder, to stand in for one that
/// panicked or hung. Blocks as loading does.
#[derive(Clone)]
pub struct Rebuild(Arc<Rebuilding>);

type Rebuilding = dyn Fn() -> Result<Box<dyn Instance>, LoadError> + Send + Sync;

impl Rebuild {
    pub fn new(
        make: impl Fn() -> Result<Box<dyn Instance>, LoadError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(make))
    }

    /// # Errors
    /// As [`Backend::load`]; a panic of the engine is one of them.
    pub fn instance(&self) -> Result<Box<dyn Instance>, LoadError> {
        // Nothing of ours is changed before the new instance is there.
        catch_unwind(AssertUnwindSafe(|| (self.0)())).unwrap_or_else(|panic| {
            Err(LoadError::new(format!("the engine panicked: {}", panic_text(&*panic))))
        })
    }
}

impl fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebuild").finish_non_exhaustive()
    }
}

/// One executable copy of a version, owned by one thread.
pub trait Instance: Send {
    /// Runs one batch. Inputs come and outputs go in the order of the signature.
    ///
    /// # Errors
    /// When the model fails on these inputs, has no memory for them, or was terminated.
    fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>, RunFailure>;

    /// What ends a run of this instance from another thread. `None`: its runs cannot be ended.
    fn terminator(&self) -> Option<Arc<dyn Terminator>> {
        None
    }
}

/// Ends the run that is in progress, as soon as the engine looks. The instance is not to be used
/// again: whether a later run would still see the request to end is the engine's affair.
pub trait Terminator: Send + Sync {
    fn terminate(&self);
}

/// Why a run gave no outputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunFailure {
    #[error("{0}")]
    Failed(Error),
    /// The same rows in smaller batches may well succeed.
    #[error("{0}")]
    OutOfMemory(Error),
}

impl RunFailure {
    pub fn error(&self) -> &Error {
        match self {
            Self::Failed(error) | Self::OutOfMemory(error) => error,
        }
    }
}

impl From<Error> for RunFailure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
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

/// Why a run gave no outputs, as its worker sees it.
#[derive(Debug)]
pub(crate) enum Fault {
    Failed(Error),
    OutOfMemory(Error),
    /// The engine's own state may be torn.
    Panicked(Error),
    /// It took too long and was told to end: the instance is not to be used again.
    Hung(Error),
}

impl Fault {
    pub(crate) fn error(&self) -> &Error {
        match self {
            Self::Failed(error)
            | Self::OutOfMemory(error)
            | Self::Panicked(error)
            | Self::Hung(error) => error,
        }
    }
}

/// Runs a batch and turns a panic of the engine into a fault: whoever else waits for this thread is
/// not to suffer for it. The instance must not be used again after a panic.
pub(crate) fn run_caught(
    instance: &mut dyn Instance,
    inputs: &[TensorView<'_>],
) -> Result<Vec<Tensor>, Fault> {
    match catch_unwind(AssertUnwindSafe(|| instance.run(inputs))) {
        Ok(Ok(outputs)) => Ok(outputs),
        Ok(Err(RunFailure::Failed(error))) => Err(Fault::Failed(error)),
        Ok(Err(RunFailure::OutOfMemory(error))) => Err(Fault::OutOfMemory(error)),
        Err(panic) => {
            let said = format!("the engine panicked: {}", panic_text(&*panic));
            Err(Fault::Panicked(Error::new(ErrorKind::ModelFailed, said)))
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
