//! Loads `model.onnx` of a version's folder, one session for each instance, and runs batches on them.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::{RunOptions, Session, SessionInputValue};
use tidegate_backend::{Backend, Instance, LoadError, LoadOptions, Loaded};
use tidegate_batcher::TensorView;
use tidegate_inference::{Error, ErrorKind, Result, Tensor, TensorSpec};

use crate::OrtRuntime;
use crate::input::value_of;
use crate::message::plain;
use crate::output::tensor_of;
use crate::refusal::refusal;
use crate::signature::signature_of;

const MODEL_FILE: &str = "model.onnx";

/// ONNX Runtime on the CPU.
pub struct OrtBackend {
    runtime: OrtRuntime,
    /// Concurrent loads have crashed ONNX Runtime: one at a time.
    loading: Mutex<()>,
}

impl OrtBackend {
    pub fn new(runtime: OrtRuntime) -> Self {
        Self { runtime, loading: Mutex::new(()) }
    }
}

impl Backend for OrtBackend {
    fn platform(&self) -> &'static str {
        "onnxruntime_onnx"
    }

    fn load(&self, version_dir: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        self.load_model(&version_dir.join(MODEL_FILE), options)
    }
}

impl OrtBackend {
    /// Loads a model file of any name, outside of any repository: for measuring it alone.
    ///
    /// # Errors
    /// When it cannot be served, as [`Backend::load`].
    pub fn load_model(&self, file: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        if !file.is_file() {
            return Err(LoadError::new(format!("there is no file {}", file.display())));
        }
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        // The binding panics on types it does not expect in a model; that is the model's refusal.
        let load = AssertUnwindSafe(|| self.load_file(file, options));
        catch_unwind(load).unwrap_or_else(|_| {
            Err(LoadError::new("ONNX Runtime's binding cannot describe its inputs or outputs"))
        })
    }

    fn load_file(&self, file: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        let open = || {
            self.session(file, options.intra_op_threads)
                .map_err(|error| LoadError::new(refusal(error.message())))
        };
        let first = open()?;
        let signature = signature_of(first.inputs(), first.outputs())?;
        let outputs: Arc<[TensorSpec]> = signature.outputs.clone().into();
        let instance = |session| -> Box<dyn Instance> {
            Box::new(OrtInstance { session, outputs: Arc::clone(&outputs) })
        };
        let mut instances = vec![instance(first)];
        for _ in 1..options.instances.get() {
            instances.push(instance(open()?));
        }
        Ok(Loaded { signature, instances })
    }

    /// Threads are set explicitly: by default every session makes a pool as large as the machine.
    /// Idle threads sleep instead of spinning, which cost 3.5 times the CPU at low load. With one
    /// thread, a run stays on the worker that calls it.
    fn session(&self, file: &Path, threads: NonZeroUsize) -> ort::Result<Session> {
        Session::builder(self.runtime.environment())?
            .with_intra_threads(threads.get())?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .commit_from_file(file)
    }
}

/// One session, used by one thread.
struct OrtInstance {
    session: Session,
    outputs: Arc<[TensorSpec]>,
}

impl Instance for OrtInstance {
    fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>> {
        let (expected, got) = (self.session.inputs().len(), inputs.len());
        if expected != got {
            return Err(Error::internal(format!("a batch has {got} inputs, expected {expected}")));
        }
        let values: Vec<SessionInputValue<'_>> =
            inputs.iter().map(value_of).collect::<Result<_>>()?;
        // Fresh for every batch: a late `terminate` then cannot hit the next one.
        let options = RunOptions::new().map_err(failed)?;
        let outputs = self.session.run_with_options(&values[..], &options).map_err(failed)?;
        outputs
            .into_iter()
            .zip(self.outputs.iter())
            .map(|((_, value), spec)| tensor_of(value, spec))
            .collect()
    }
}

fn failed(error: ort::Error) -> Error {
    Error::new(ErrorKind::ModelFailed, plain(error.message()))
}
