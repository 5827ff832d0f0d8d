//! Loads `model.onnx` of a version's folder, one session for each instance, and runs batches on them.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::{RunOptions, Session, SessionInputValue};
use tidegate_backend::{
    Backend, Instance, LoadError, LoadOptions, Loaded, Rebuild, RunFailure, Terminator,
};
use tidegate_batcher::{TensorView, ViewData};
use tidegate_inference::{Error, Result, Signature, Tensor, TensorSpec};

use crate::OrtRuntime;
use crate::arena::Appetite;
use crate::failure::failure;
use crate::input::value_of;
use crate::output::tensor_of;
use crate::refusal::refusal;
use crate::signature::signature_of;

const MODEL_FILE: &str = "model.onnx";

/// ONNX Runtime on the CPU. Cloning shares it.
#[derive(Clone)]
pub struct OrtBackend {
    runtime: OrtRuntime,
    /// Concurrent loads have crashed ONNX Runtime: one at a time.
    loading: Arc<Mutex<()>>,
}

impl OrtBackend {
    pub fn new(runtime: OrtRuntime) -> Self {
        Self { runtime, loading: Arc::default() }
    }
}

impl Backend for OrtBackend {
    fn platform(&self) -> &'static str {
        "onnxruntime_onnx"
    }

    fn load(&self, version_dir: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        self.load_model(&version_dir.join(MODEL_FILE), options)
    }

    /// ONNX Runtime allocates with the system's `malloc`, which keeps what was freed between two living
    /// blocks: after a large model that may be most of it.
    fn give_back_memory(&self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: `malloc_trim` takes any number and may be called from any thread at any time.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

impl OrtBackend {
    /// Loads a model file of any name, outside of any repository: for measuring it alone.
    ///
    /// # Errors
    /// When it cannot be served, as [`Backend::load`].
    pub fn load_model(&self, file: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        let threads = options.intra_op_threads;
        let (signature, first) = self.load_first(file, threads)?;
        let outputs: Arc<[TensorSpec]> = signature.outputs.clone().into();
        let mut instances = vec![OrtInstance::boxed(first, &outputs)?];
        for _ in 1..options.instances.get() {
            let (_, session) = self.load_first(file, threads)?;
            instances.push(OrtInstance::boxed(session, &outputs)?);
        }
        let (backend, file, expected) = (self.clone(), file.to_owned(), signature.clone());
        let rebuild = Rebuild::new(move || {
            let (found, session) = backend.load_first(&file, threads)?;
            if found != expected {
                // Versions do not change; answers of another model are worse than none.
                return Err(LoadError::new("model.onnx has changed since it was loaded"));
            }
            OrtInstance::boxed(session, &outputs)
        });
        Ok(Loaded { signature, instances, rebuild })
    }

    fn load_first(
        &self,
        file: &Path,
        threads: NonZeroUsize,
    ) -> Result<(Signature, Session), LoadError> {
        if !file.is_file() {
            return Err(LoadError::new(format!("there is no file {}", file.display())));
        }
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        // The binding panics on types it does not expect in a model; that is the model's refusal.
        let load = AssertUnwindSafe(|| {
            let session = self
                .session(file, threads)
                .map_err(|error| LoadError::new(refusal(error.message())))?;
            let signature = signature_of(session.inputs(), session.outputs())?;
            Ok((signature, session))
        });
        catch_unwind(load).unwrap_or_else(|_| {
            Err(LoadError::new("ONNX Runtime's binding cannot describe its inputs or outputs"))
        })
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
            // A plan for every shape it meets is kept for good, and here they are many.
            .with_memory_pattern(false)?
            .commit_from_file(file)
    }
}

/// One session, used by one thread.
struct OrtInstance {
    session: Session,
    outputs: Arc<[TensorSpec]>,
    options: Arc<Options>,
    appetite: Appetite,
}

/// Of all runs of an instance. Whoever terminates one of them ends the instance, so a late request to
/// terminate cannot hit a run that it was not meant for.
struct Options {
    usual: RunOptions,
    /// The arena gives memory back afterwards.
    giving_back: RunOptions,
}

impl Options {
    fn new() -> ort::Result<Self> {
        let mut giving_back = RunOptions::new()?;
        giving_back.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        Ok(Self { usual: RunOptions::new()?, giving_back })
    }
}

impl OrtInstance {
    fn boxed(
        session: Session,
        outputs: &Arc<[TensorSpec]>,
    ) -> Result<Box<dyn Instance>, LoadError> {
        let options = Options::new().map_err(|error| LoadError::new(error.message()))?;
        let (outputs, options) = (Arc::clone(outputs), Arc::new(options));
        Ok(Box::new(Self { session, outputs, options, appetite: Appetite::default() }))
    }
}

impl Instance for OrtInstance {
    fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>, RunFailure> {
        let (expected, got) = (self.session.inputs().len(), inputs.len());
        if expected != got {
            let error = Error::internal(format!("a batch has {got} inputs, expected {expected}"));
            return Err(error.into());
        }
        let values: Vec<SessionInputValue<'_>> =
            inputs.iter().map(value_of).collect::<Result<_>>()?;
        let options = match self.appetite.gives_back_after(inputs.iter().map(bytes).sum()) {
            true => &self.options.giving_back,
            false => &self.options.usual,
        };
        let outputs = self.session.run_with_options(&values[..], options).map_err(failure)?;
        let tensors = outputs.into_iter().zip(self.outputs.iter());
        Ok(tensors.map(|((_, value), spec)| tensor_of(value, spec)).collect::<Result<_>>()?)
    }

    fn terminator(&self) -> Option<Arc<dyn Terminator>> {
        Some(Arc::new(OrtTerminator(Arc::clone(&self.options))))
    }
}

fn bytes(view: &TensorView<'_>) -> usize {
    match &view.data {
        ViewData::Fixed(bytes) => bytes.len(),
        ViewData::Strings(strings) => strings.iter().map(|string| string.len()).sum(),
    }
}

struct OrtTerminator(Arc<Options>);

impl Terminator for OrtTerminator {
    fn terminate(&self) {
        for options in [&self.0.usual, &self.0.giving_back] {
            if let Err(error) = options.terminate() {
                tracing::error!(%error, "ONNX Runtime did not take the request to end a run");
            }
        }
    }
}
