//! An engine for tests that does what its script says: any function of the inputs, held back,
//! failing, panicking or hanging on demand, and with a memory of every batch it saw.
//!
//! ```
//! # use tidegate_backend::MockBackend;
//! # use tidegate_inference::{DataType, Dim, Signature, TensorSpec};
//! # let spec = |name: &str| TensorSpec {
//! #     name: name.into(), datatype: DataType::Fp32, shape: vec![Dim::Dynamic, Dim::Fixed(4)],
//! # };
//! let mock = MockBackend::echo(Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] });
//! mock.hold();                          // runs wait from here on ...
//! mock.release(1);                      // ... and one may go,
//! mock.open();                          // ... and now all.
//! mock.fail_when(|inputs| {             // a batch that contains something fails as a whole
//!     inputs[0].shape[0] > 8
//! });
//! mock.run_out_of_memory_above(4);      // rows
//! mock.hang_when(|_| true);             // until terminated ...
//! mock.ignore_termination(true);        // ... or until the script says so: `end_hangs`
//! assert_eq!(mock.runs().len(), 0);     // the batches so far
//! ```
//!
//! The handle and everything loaded from it share one script: change it at any time. Loading a
//! version checks its batch safety, which runs it: call [`MockBackend::hold`] and
//! [`MockBackend::forget_runs`] after loading. An instance that panicked or was terminated is
//! torn, and fails whatever it is given later: a worker has to rebuild it.

mod script;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tidegate_batcher::{TensorView, ViewData};
use tidegate_inference::{Error, ErrorKind, Result, Shape, Signature, Tensor, TensorData};

use crate::{Backend, Instance, LoadError, LoadOptions, Loaded, Rebuild, RunFailure, Terminator};
use script::{Conduct, Script};

type Function = dyn Fn(&[TensorView<'_>]) -> Result<Vec<Tensor>> + Send + Sync;

/// The scriptable engine. Cloning gives another handle to the same script.
#[derive(Clone)]
pub struct MockBackend(Arc<Shared>);

/// One batch that the engine saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Of each input, in the order of the signature; of a batch along axis 0, the first dimension is
    /// its rows.
    pub shapes: Vec<Shape>,
    /// The thread that ran it.
    pub thread: String,
}

struct Shared {
    signature: Signature,
    function: Box<Function>,
    script: Mutex<Script>,
    changed: Condvar,
}

impl MockBackend {
    /// An engine that computes `function` of its inputs.
    pub fn new(
        signature: Signature,
        function: impl Fn(&[TensorView<'_>]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            signature,
            function: Box::new(function),
            script: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Every output is the input at the same place, under the output's name.
    pub fn echo(signature: Signature) -> Self {
        let names: Vec<_> = signature.outputs.iter().map(|spec| Arc::clone(&spec.name)).collect();
        Self::new(signature, move |inputs| {
            inputs.iter().zip(&names).map(|(input, name)| copied(input, name)).collect()
        })
    }

    /// FP32 only: every output is 2 x + 1 of the input at the same place.
    pub fn affine(signature: Signature) -> Self {
        let names: Vec<_> = signature.outputs.iter().map(|spec| Arc::clone(&spec.name)).collect();
        Self::new(signature, move |inputs| {
            inputs.iter().zip(&names).map(|(input, name)| doubled_plus_one(input, name)).collect()
        })
    }

    /// From now on a run waits before it starts.
    pub fn hold(&self) {
        self.change(|script| script.held = true);
    }

    /// Lets `runs` of the held runs go, waiting or to come.
    pub fn release(&self, runs: usize) {
        self.change(|script| script.released += runs);
    }

    /// Lets everything go again.
    pub fn open(&self) {
        self.change(|script| (script.held, script.released) = (false, 0));
    }

    /// Waits until `runs` runs stand at the gate. A test calls it to know that workers are busy.
    pub fn wait_until_held(&self, runs: usize) {
        drop(self.wait_while(|script| script.waiting < runs));
    }

    /// A batch for which this is true fails as a whole.
    pub fn fail_when(&self, predicate: impl Fn(&[TensorView<'_>]) -> bool + Send + Sync + 'static) {
        self.change(|script| script.fails = Some(Arc::new(predicate)));
    }

    /// A batch for which this is true makes the engine panic.
    pub fn panic_when(
        &self,
        predicate: impl Fn(&[TensorView<'_>]) -> bool + Send + Sync + 'static,
    ) {
        self.change(|script| script.panics = Some(Arc::new(predicate)));
    }

    /// A batch for which this is true does not return until it is terminated.
    pub fn hang_when(&self, predicate: impl Fn(&[TensorView<'_>]) -> bool + Send + Sync + 'static) {
        self.change(|script| script.hangs = Some(Arc::new(predicate)));
    }

    /// Whether a hanging run hangs on when it is terminated.
    pub fn ignore_termination(&self, ignore: bool) {
        self.change(|script| script.ignores_termination = ignore);
    }

    /// Waits until so many runs have begun to hang, those that were ended included.
    pub fn wait_until_hung(&self, runs: usize) {
        drop(self.wait_while(|script| script.hung < runs));
    }

    /// Every run that hangs now fails, and none hangs from now on.
    pub fn end_hangs(&self) {
        self.change(|script| {
            script.hangs = None;
            script.hangs_ended += 1;
        });
    }

    /// A batch of more rows than this, along axis 0 of the first input, has no memory.
    pub fn run_out_of_memory_above(&self, rows: usize) {
        self.change(|script| script.memory_for = Some(rows));
    }

    /// Later loads and rebuilds fail with this reason; `None` lets them succeed again.
    pub fn refuse_to_load(&self, reason: Option<&str>) {
        self.lock().refuses_to_load = reason.map(str::to_owned);
    }

    /// The batches that were started so far, in order.
    pub fn runs(&self) -> Vec<Run> {
        self.lock().runs.clone()
    }

    pub fn forget_runs(&self) {
        self.lock().runs.clear();
    }

    /// Instances that were made again.
    pub fn rebuilt(&self) -> usize {
        self.lock().rebuilt
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Script) -> T) {
        change(&mut self.lock());
        self.0.changed.notify_all();
    }

    fn wait_while(&self, waits: impl Fn(&Script) -> bool) -> MutexGuard<'_, Script> {
        self.0
            .changed
            .wait_while(self.lock(), |script| waits(script))
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_the_gate(&self) -> Conduct {
        self.change(|script| script.waiting += 1);
        let mut script = self.wait_while(|script| script.held && script.released == 0);
        script.waiting -= 1;
        script.released = script.released.saturating_sub(1);
        script.conduct()
    }

    /// Until it is terminated, or the script ends it.
    fn hang(&self, instance: &Torn) {
        let ended = {
            let mut script = self.lock();
            script.hung += 1;
            script.hangs_ended
        };
        self.0.changed.notify_all();
        let hangs_on = |script: &Script| {
            let terminated = instance.is_torn() && !script.ignores_termination;
            !terminated && script.hangs_ended == ended
        };
        drop(self.wait_while(hangs_on));
    }

    fn instance(&self) -> Result<Box<dyn Instance>, LoadError> {
        match &self.lock().refuses_to_load {
            Some(reason) => Err(LoadError::new(reason.clone())),
            None => Ok(Box::new(MockInstance { mock: self.clone(), torn: Arc::default() })),
        }
    }
}

impl Backend for MockBackend {
    fn platform(&self) -> &'static str {
        "mock"
    }

    fn load(&self, _: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        let instances =
            (0..options.instances.get()).map(|_| self.instance()).collect::<Result<_, _>>()?;
        let mock = self.clone();
        let rebuild = Rebuild::new(move || {
            let instance = mock.instance()?;
            mock.lock().rebuilt += 1;
            Ok(instance)
        });
        Ok(Loaded { signature: self.0.signature.clone(), instances, rebuild })
    }
}

struct MockInstance {
    mock: MockBackend,
    torn: Arc<Torn>,
}

/// Whether the instance panicked or was terminated.
#[derive(Default)]
struct Torn(AtomicBool);

impl Torn {
    fn tear(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_torn(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct MockTerminator {
    mock: MockBackend,
    torn: Arc<Torn>,
}

impl Terminator for MockTerminator {
    fn terminate(&self) {
        // Under the script's lock, so that a run that is about to wait does not miss it.
        self.mock.change(|_| self.torn.tear());
    }
}

impl Instance for MockInstance {
    fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>, RunFailure> {
        let Self { mock, torn } = self;
        if torn.is_torn() {
            return Err(failure("the mock is torn and was used again"));
        }
        mock.lock().runs.push(Run {
            shapes: inputs.iter().map(|input| input.shape.clone()).collect(),
            thread: std::thread::current().name().unwrap_or_default().to_owned(),
        });
        let conduct = mock.pass_the_gate();
        let says = |predicate: &Option<Arc<script::Predicate>>| {
            predicate.as_ref().is_some_and(|predicate| predicate(inputs))
        };
        if says(&conduct.panics) {
            torn.tear();
            panic!("the mock was told to panic");
        }
        if says(&conduct.hangs) {
            mock.hang(torn);
            return Err(failure("the mock's run was ended"));
        }
        if says(&conduct.fails) {
            return Err(failure("the mock was told to fail"));
        }
        let rows = inputs.first().and_then(|input| input.shape.first()).copied().unwrap_or(0);
        if conduct.memory_for.is_some_and(|limit| rows > limit) {
            let error = Error::new(ErrorKind::ModelFailed, "the mock has no memory for so many");
            return Err(RunFailure::OutOfMemory(error));
        }
        Ok((mock.0.function)(inputs)?)
    }

    fn terminator(&self) -> Option<Arc<dyn Terminator>> {
        let (mock, torn) = (self.mock.clone(), Arc::clone(&self.torn));
        Some(Arc::new(MockTerminator { mock, torn }))
    }
}

fn failure(message: &'static str) -> RunFailure {
    RunFailure::Failed(Error::new(ErrorKind::ModelFailed, message))
}

/// An owned copy of a view, under another name.
fn copied(view: &TensorView<'_>, name: &Arc<str>) -> Result<Tensor> {
    let data = match &view.data {
        ViewData::Fixed(bytes) => TensorData::Fixed(Bytes::copy_from_slice(bytes)),
        ViewData::Strings(strings) => {
            TensorData::Strings(strings.iter().copied().cloned().collect())
        }
    };
    Tensor::new(Arc::clone(name), view.datatype, view.shape.clone(), data)
}

fn doubled_plus_one(view: &TensorView<'_>, name: &Arc<str>) -> Result<Tensor> {
    let ViewData::Fixed(bytes) = &view.data else {
        return Err(Error::new(ErrorKind::ModelFailed, "affine takes FP32 only"));
    };
    let values = bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk));
    let bytes = values.flat_map(|value| (2.0 * value + 1.0).to_le_bytes()).collect();
    Tensor::new(Arc::clone(name), view.datatype, view.shape.clone(), TensorData::Fixed(bytes))
}
