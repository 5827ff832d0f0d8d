//! Makes a version folder into something that can run: loads it, finds out whether its requests may
//! share batches, warms every instance up. Holds no lock and changes no state.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_backend::{
    Backend, BatchSafety, Care, Fitness, Instance, InstanceGroup, LoadError, LoadOptions, Loaded,
    Rebuild, check_batch_safety,
};
use tidegate_batcher::{Batching, InputBuffers};
use tidegate_inference::{
    BatchingStatus, Dim, Shape, Signature, Tensor, TensorData, TensorSpec, Version,
};
use tidegate_router::{Lane, Timing};
use tidegate_telemetry::ModelMetrics;
use tracing::debug;

use crate::model_set::Running;
use crate::{ModelConfig, samples};

pub struct Prepared {
    signature: Arc<Signature>,
    instances: Vec<Box<dyn Instance>>,
    rebuild: Rebuild,
    /// A request that every instance answers.
    probe: Option<Vec<Tensor>>,
    batching: Batching,
    pub status: BatchingStatus,
}

/// Blocks for as long as the engine takes.
///
/// # Errors
/// When the version cannot be served, and why.
pub fn prepare(
    backend: &dyn Backend,
    folder: &Path,
    config: &ModelConfig,
) -> Result<Prepared, LoadError> {
    let options =
        LoadOptions { instances: config.instances, intra_op_threads: config.intra_op_threads };
    let Loaded { signature, mut instances, rebuild } = backend.load(folder, &options)?;
    let samples = samples::read(folder, &signature);
    let Some(first) = instances.first_mut() else {
        return Err(LoadError::new("the engine loaded no instance"));
    };
    let safety = check_batch_safety(first.as_mut(), &signature, &samples)?;
    let probe = warm_up(&mut instances, &signature, &samples)?;
    let (batching, status) = choose(safety, config)?;
    Ok(Prepared { signature: Arc::new(signature), instances, rebuild, probe, batching, status })
}

/// The first run of an instance allocates, plans and pages in; no caller should wait for that. Gives the
/// request back when all of them answered it.
fn warm_up(
    instances: &mut [Box<dyn Instance>],
    signature: &Signature,
    samples: &[Vec<Tensor>],
) -> Result<Option<Vec<Tensor>>, LoadError> {
    let request = samples.first().cloned().unwrap_or_else(|| blank_request(signature));
    let mut all_answered = true;
    let mut buffers = InputBuffers::default();
    for (number, instance) in instances.iter_mut().enumerate() {
        match instance.run(&buffers.views(&request)) {
            Err(error) if !samples.is_empty() => {
                let reason = format!("instance {} fails on its own sample: {error}", number + 1);
                return Err(LoadError::new(reason));
            }
            // Nobody said that a model must accept what we made up.
            Err(error) => {
                debug!(%error, "a made-up warm-up request was refused");
                all_answered = false;
            }
            Ok(_) => {}
        }
    }
    Ok(all_answered.then_some(request))
}

/// The smallest request that fits the signature: zeros and empty strings, every dynamic dimension 1.
fn blank_request(signature: &Signature) -> Vec<Tensor> {
    signature.inputs.iter().filter_map(blank_tensor).collect()
}

fn blank_tensor(spec: &TensorSpec) -> Option<Tensor> {
    let lengths = spec.shape.iter().map(|dim| match dim {
        Dim::Fixed(length) => *length,
        Dim::Dynamic => 1,
    });
    let shape: Shape = lengths.collect();
    let elements = shape.elements()?;
    let data = match spec.datatype.size() {
        Some(size) => TensorData::Fixed(vec![0; elements.checked_mul(size)?].into()),
        None => TensorData::Strings(vec![Bytes::new(); elements]),
    };
    Tensor::new(Arc::clone(&spec.name), spec.datatype, shape, data).ok()
}

fn choose(
    safety: BatchSafety,
    config: &ModelConfig,
) -> Result<(Batching, BatchingStatus), LoadError> {
    match safety {
        BatchSafety::Unbatched { reason } => {
            Ok((Batching::Unbatched, BatchingStatus::Unbatched { reason }))
        }
        BatchSafety::Batched(layout) => {
            let policy = config.policy().map_err(|error| LoadError::new(error.message()))?;
            let status = BatchingStatus::Batched { max_batch_size: policy.max_batch_size() };
            Ok((Batching::Rows { layout, policy }, status))
        }
    }
}

impl Prepared {
    pub fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    /// Gives it a queue and starts its workers. From then on `hears` is told when it becomes unfit and
    /// when it runs again.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        self,
        thread_name: &str,
        version: Version,
        config: &ModelConfig,
        metrics: Arc<ModelMetrics>,
        hears: impl Fn(Fitness) + Send + Sync + 'static,
    ) -> Result<Running, LoadError> {
        let (queue, batcher) = tidegate_batcher::queue(self.batching, config.max_queue_size);
        let mut care = Care::new(self.rebuild);
        care.probe = self.probe;
        care.max_execution_time = config.max_execution_time;
        care.hears = Box::new(hears);
        let instances =
            InstanceGroup::start(thread_name, self.instances, batcher, Arc::clone(&metrics), care)
                .map_err(|error| {
                    LoadError::new(format!("its threads cannot be started: {error}"))
                })?;
        let waiting = Arc::downgrade(&queue);
        metrics.watch_queue(move || waiting.upgrade().map_or(0, |queue| queue.len()));
        let timing = Timing { slo: config.slo, request_timeout: config.request_timeout };
        let lane = Lane { version, signature: self.signature, queue, timing, metrics };
        Ok(Running { lane: Arc::new(lane), instances })
    }
}

impl Running {
    /// Refuses new requests, answers those that wait, ends the threads. Says how many are stuck in the
    /// engine.
    pub fn stop(self) -> usize {
        self.lane.queue.close();
        self.instances.join()
    }
}
