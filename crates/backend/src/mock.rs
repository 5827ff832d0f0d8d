//! An engine for tests that does what its script says: any function of the inputs, held back,
//! failing or panicking on demand, and with a memory of every batch it saw.
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
//! assert_eq!(mock.runs().len(), 0);     // the batches so far
//! ```
//!
//! The handle and everything loaded from it share one script: change it at any time. Loading a
//! version checks its batch safety, which runs it: call [`MockBackend::hold`] and
//! [`MockBackend::forget_runs`] after loading.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tidegate_batcher::{TensorView, ViewData};
use tidegate_inference::{Error, ErrorKind, Result, Shape, Signature, Tensor, TensorData};

use crate::{Backend, Instance, LoadError, LoadOptions, Loaded};

type Function = dyn Fn(&[TensorView<'_>]) -> Result<Vec<Tensor>> + Send + Sync;
type Predicate = dyn Fn(&[TensorView<'_>]) -> bool + Send + Sync;

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

#[derive(Default)]
struct Script {
    held: bool,
    /// Runs that may go while the gate is held.
    released: usize,
    waiting: usize,
    fails: Option<Arc<Predicate>>,
    panics: Option<Arc<Predicate>>,
    refuses_to_load: Option<String>,
    runs: Vec<Run>,
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
        self.lock().held = true;
    }

    /// Lets `runs` of the held runs go, waiting or to come.
    pub fn release(&self, runs: usize) {
        self.lock().released += runs;
        self.0.changed.notify_all();
    }

    /// Lets everything go again.
    pub fn open(&self) {
        let mut script = self.lock();
        (script.held, script.released) = (false, 0);
        self.0.changed.notify_all();
    }

    /// Waits until `runs` runs stand at the gate. A test calls it to know that workers are busy.
    pub fn wait_until_held(&self, runs: usize) {
        let script = self.lock();
        drop(self.0.changed.wait_while(script, |script| script.waiting < runs));
    }

    /// A batch for which this is true fails as a whole.
    pub fn fail_when(&self, predicate: impl Fn(&[TensorView<'_>]) -> bool + Send + Sync + 'static) {
        self.lock().fails = Some(Arc::new(predicate));
    }

    /// A batch for which this is true makes the engine panic.
    pub fn panic_when(
        &self,
        predicate: impl Fn(&[TensorView<'_>]) -> bool + Send + Sync + 'static,
    ) {
        self.lock().panics = Some(Arc::new(predicate));
    }

    /// Later loads fail with this reason; `None` lets them succeed again.
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

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_the_gate(&self) -> (Option<Arc<Predicate>>, Option<Arc<Predicate>>) {
        let mut script = self.lock();
        script.waiting += 1;
        self.0.changed.notify_all();
        let mut script = self
            .0
            .changed
            .wait_while(script, |script| script.held && script.released == 0)
            .unwrap_or_else(PoisonError::into_inner);
        script.waiting -= 1;
        script.released = script.released.saturating_sub(1);
        (script.fails.clone(), script.panics.clone())
    }
}

impl Backend for MockBackend {
    fn platform(&self) -> &'static str {
        "mock"
    }

    fn load(&self, _: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        if let Some(reason) = &self.lock().refuses_to_load {
            return Err(LoadError::new(reason.clone()));
        }
        let instances = (0..options.instances.get())
            .map(|_| Box::new(MockInstance(self.clone())) as Box<dyn Instance>)
            .collect();
        Ok(Loaded { signature: self.0.signature.clone(), instances })
    }
}

struct MockInstance(MockBackend);

impl Instance for MockInstance {
    fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>> {
        let Self(mock) = self;
        mock.lock().runs.push(Run {
            shapes: inputs.iter().map(|input| input.shape.clone()).collect(),
            thread: std::thread::current().name().unwrap_or_default().to_owned(),
        });
        let (fails, panics) = mock.pass_the_gate();
        assert!(!panics.is_some_and(|panics| panics(inputs)), "the mock was told to panic");
        if fails.is_some_and(|fails| fails(inputs)) {
            return Err(Error::new(ErrorKind::ModelFailed, "the mock was told to fail"));
        }
        (mock.0.function)(inputs)
    }
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
