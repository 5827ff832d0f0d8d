//! A house behind the front door that computes `y = 2x + 1`, fails as told, and waits at gates.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_inference::{
    Admission, Admitted, BatchFacts, BatchingStatus, Catalog, CloseReason, DataType, Deadline, Dim,
    Entrypoint, Error, ErrorKind, Label, ModelEntry, ModelName, Permit, Request, RequestHead,
    Response, Result, Shape, Signature, Stage, Tensor, TensorData, TensorSpec, Timeline, Version,
    VersionDescription, VersionEntry, VersionPolicy, VersionState,
};
use tokio::sync::{Semaphore, watch};

/// What a model does with its requests.
#[derive(Clone)]
pub enum Behaviour {
    Echo,
    /// Refused before it is admitted.
    Refuse(Error),
    /// Admitted, then failed.
    Fail(Error),
    Panic,
    /// Waits for a permit of this gate.
    Gate(Arc<Semaphore>),
    /// Answers so many rows, whatever was asked.
    Rows(usize),
    /// No more than so many bytes may be in flight.
    Bytes(usize),
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub admitted: usize,
    pub running: usize,
    pub responded: usize,
    pub errored: usize,
    pub gone: usize,
    /// Permits that are held.
    pub held: usize,
    pub bytes: usize,
    pub most_bytes: usize,
}

impl Counts {
    fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.most_bytes = self.most_bytes.max(self.bytes);
    }
}

pub struct Mock {
    pub catalog: Mutex<Arc<Catalog>>,
    behaviours: BTreeMap<String, Behaviour>,
    signature: Arc<Signature>,
    terms: Arc<Mutex<Vec<Terms>>>,
    tensorflow: Arc<Mutex<Vec<Told>>>,
    counts: Arc<watch::Sender<Counts>>,
}

/// By which door a request in TensorFlow Serving's words came, and how it ended.
pub type Told = (Entrypoint, Result<(), ErrorKind>);

/// Under which terms a request came to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// From the head received to the deadline of the head, and that of the body.
    pub head: Duration,
    pub body: Option<Duration>,
    pub priority: u8,
}

impl Mock {
    /// Every model has version 1 (ready, labelled `blue`) and version 2 (loading).
    pub fn new(models: &[(&str, Behaviour)]) -> Arc<Self> {
        let signature = Arc::new(signature());
        let description = VersionDescription {
            max_batch_size: 8,
            shared_batches: None,
            max_queue_size: 16,
            instances: 1,
            version_policy: VersionPolicy::All,
        };
        let entry = |state, signature: Option<Arc<Signature>>| VersionEntry {
            description: signature.is_some().then(|| Arc::new(description.clone())),
            state,
            reason: None,
            platform: "onnxruntime_onnx",
            signature,
            batching: BatchingStatus::Unknown,
            warnings: [].into(),
        };
        let model = ModelEntry {
            versions: BTreeMap::from([
                (version(1), entry(VersionState::Ready, Some(Arc::clone(&signature)))),
                (version(2), entry(VersionState::Loading, None)),
            ]),
            labels: BTreeMap::from([(Label::new("blue").unwrap(), version(1))]),
            weights: BTreeMap::new(),
        };
        let catalog = Catalog {
            ready: true,
            default_model: models.first().map(|(name, _)| ModelName::new(name).unwrap()),
            models: models
                .iter()
                .map(|(name, _)| (ModelName::new(name).unwrap(), model.clone()))
                .collect(),
        };
        Arc::new(Self {
            catalog: Mutex::new(Arc::new(catalog)),
            behaviours: models
                .iter()
                .map(|(name, what)| ((*name).to_owned(), what.clone()))
                .collect(),
            signature,
            terms: Arc::default(),
            tensorflow: Arc::default(),
            counts: Arc::new(watch::Sender::new(Counts::default())),
        })
    }

    pub fn change_catalog(&self, change: impl FnOnce(&mut Catalog)) {
        let mut current = self.catalog.lock().unwrap();
        let mut changed = Catalog::clone(&current);
        change(&mut changed);
        *current = Arc::new(changed);
    }

    /// Of all requests that were to be run, in their order.
    pub fn terms(&self) -> Vec<Terms> {
        self.terms.lock().unwrap().clone()
    }

    pub fn tensorflow(&self) -> Vec<Told> {
        self.tensorflow.lock().unwrap().clone()
    }

    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until the counts are as told; fails the test when that takes too long.
    pub async fn until(&self, what: impl Fn(&Counts) -> bool) -> Counts {
        let mut seen = self.counts.subscribe();
        let reached =
            tokio::time::timeout(Duration::from_secs(10), seen.wait_for(|counts| what(counts)));
        match reached.await {
            Ok(counts) => *counts.unwrap(),
            Err(_) => panic!("counts stayed at {:?}", self.counts()),
        }
    }
}

pub fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

fn signature() -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: DataType::Fp32,
        shape: vec![Dim::Dynamic, Dim::Fixed(2)],
    };
    Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
}

/// So many bytes.
pub struct MockPermit {
    bytes: usize,
    counts: Arc<watch::Sender<Counts>>,
}

impl Permit for MockPermit {
    fn grow(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        self.counts.send_modify(|counts| counts.take(bytes));
        Ok(())
    }
}

impl Drop for MockPermit {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| counts.bytes -= self.bytes);
    }
}

impl Admission for Mock {
    type Permit = MockPermit;
    type Admitted = Guest;

    fn permit(&self, bytes: usize) -> Result<MockPermit> {
        self.counts.send_modify(|counts| counts.take(bytes));
        Ok(MockPermit { bytes, counts: Arc::clone(&self.counts) })
    }

    fn admit(&self, head: &RequestHead, permit: MockPermit) -> Result<Guest> {
        let catalog = self.catalog();
        let (name, model) = catalog.model(head.model.as_str())?;
        let (version, entry) = model.select(name, &head.selector)?;
        if entry.state != VersionState::Ready {
            let message = format!("model '{name}' version {version} is not at ready state");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let behaviour = self.behaviours[name.as_str()].clone();
        if let Behaviour::Refuse(error) = &behaviour {
            return Err(error.clone());
        }
        self.counts.send_modify(|counts| {
            counts.admitted += 1;
            counts.held += 1;
        });
        Ok(Guest {
            model: name.clone(),
            version,
            signature: Arc::clone(&self.signature),
            behaviour,
            permit,
            received: head.received,
            deadline: head.deadline,
            terms: Arc::clone(&self.terms),
            tensorflow: Arc::clone(&self.tensorflow),
            counts: Arc::clone(&self.counts),
            settled: false,
        })
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.lock().unwrap())
    }
}

pub struct Guest {
    model: ModelName,
    version: Version,
    signature: Arc<Signature>,
    behaviour: Behaviour,
    permit: MockPermit,
    received: Instant,
    deadline: Deadline,
    terms: Arc<Mutex<Vec<Terms>>>,
    tensorflow: Arc<Mutex<Vec<Told>>>,
    counts: Arc<watch::Sender<Counts>>,
    settled: bool,
}

impl Permit for Guest {
    fn grow(&mut self, bytes: usize) -> Result<()> {
        if let Behaviour::Bytes(limit) = self.behaviour
            && self.permit.bytes + bytes > limit
        {
            return Err(Error::new(ErrorKind::Overloaded, "too many bytes in flight"));
        }
        self.permit.grow(bytes)
    }
}

impl Admitted for Guest {
    fn model(&self) -> &ModelName {
        &self.model
    }

    fn version(&self) -> Version {
        self.version
    }

    fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    async fn infer(&mut self, request: Request) -> Result<Response> {
        let inputs = self.signature.arrange(request.inputs)?;
        self.terms.lock().unwrap().push(Terms {
            head: self.deadline.left(self.received),
            body: request.deadline.map(|deadline| deadline.left(self.received)),
            priority: request.priority.level(),
        });
        self.deadline = request.deadline.map_or(self.deadline, |body| body.min(self.deadline));
        self.counts.send_modify(|counts| counts.running += 1);
        if let Behaviour::Rows(rows) = self.behaviour {
            let outputs = vec![zeros("y", rows)];
            return Ok(Response { outputs, timeline: worked(request.timeline) });
        }
        let input = match &self.behaviour {
            Behaviour::Fail(error) => return Err(error.clone()),
            Behaviour::Panic => panic!("the mock panics as told"),
            Behaviour::Gate(gate) => {
                gate.acquire().await.unwrap().forget();
                inputs[0].clone()
            }
            _ => inputs[0].clone(),
        };
        Ok(Response { outputs: vec![affine(&input)], timeline: worked(request.timeline) })
    }

    fn tensorflow(&self, entrypoint: Entrypoint, outcome: Result<&Timeline, &Error>) {
        assert!(!self.settled, "told after it was settled");
        let told = (entrypoint, outcome.map(|_| ()).map_err(Error::kind));
        self.tensorflow.lock().unwrap().push(told);
    }

    fn settle(&mut self, outcome: Result<&Timeline, &Error>) {
        assert!(!self.settled, "settled twice");
        self.settled = true;
        self.counts.send_modify(|counts| match outcome {
            Ok(timeline) => {
                assert!(timeline.at(Stage::Encoded).is_some());
                counts.responded += 1;
            }
            Err(_) => counts.errored += 1,
        });
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // In one change with its permit's: whoever waits for the one may look at the other.
        let bytes = std::mem::take(&mut self.permit.bytes);
        self.counts.send_modify(|counts| {
            counts.held -= 1;
            counts.bytes -= bytes;
            counts.gone += usize::from(!self.settled);
        });
    }
}

fn worked(mut timeline: Timeline) -> Timeline {
    let stages =
        [Stage::Enqueued, Stage::Dispatched, Stage::Gathered, Stage::Executed, Stage::Scattered];
    for stage in stages {
        timeline.stamp(stage, Instant::now());
    }
    timeline.set_batch(BatchFacts { rows: 8, requests: 3, closed_by: CloseReason::Target });
    timeline
}

pub fn tensor(name: &str, rows: usize, values: &[f32]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let data = TensorData::Fixed(Bytes::from(bytes));
    Tensor::new(name, DataType::Fp32, Shape::new(&[rows, 2]), data).unwrap()
}

fn zeros(name: &str, rows: usize) -> Tensor {
    let data = TensorData::Fixed(Bytes::from(vec![0; rows * 8]));
    Tensor::new(name, DataType::Fp32, Shape::new(&[rows, 2]), data).unwrap()
}

fn affine(input: &Tensor) -> Tensor {
    let TensorData::Fixed(bytes) = input.data() else { panic!("FP32 was checked") };
    let values: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|chunk| 2.0 * f32::from_le_bytes(chunk.try_into().unwrap()) + 1.0)
        .collect();
    tensor("y", input.shape()[0], &values)
}
