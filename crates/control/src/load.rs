//! Makes a version folder into something that can run: loads it, finds out whether its requests may
//! share batches, has it warmed up. Holds no lock and changes no state.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_backend::{
    Backend, BatchSafety, Care, Fitness, Instance, InstanceGroup, LoadError, LoadOptions, Loaded,
    Rebuild, check_batch_safety,
};
use tidegate_batcher::{Batching, Queue};
use tidegate_inference::{BatchingStatus, Signature, Tensor, Version, VersionDescription};
use tidegate_router::{Lane, Timing};
use tidegate_telemetry::{ModelMetrics, QueueView};

use crate::describe::describe;
use crate::model_set::Running;
use crate::triton_config::run_warm_up;
use crate::warm_up::WarmUp;
use crate::{ModelConfig, samples};

pub struct Prepared {
    signature: Arc<Signature>,
    instances: Vec<Box<dyn Instance>>,
    rebuild: Rebuild,
    batching: Batching,
    warm_up: WarmUp,
    pub warmed_up_in: Duration,
    pub status: BatchingStatus,
    pub description: VersionDescription,
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
    let samples = warmed_up(&mut instances, folder, config, &signature)?;
    let Some(first) = instances.first_mut() else {
        return Err(LoadError::new("the engine loaded no instance"));
    };
    let safety = match config.batching.why_one_by_one() {
        Some(reason) => BatchSafety::Unbatched { reason: reason.to_owned() },
        None => check_batch_safety(first.as_mut(), &signature, &samples)?,
    };
    let (batching, status) = choose(safety, config)?;
    let started = Instant::now();
    let warm_up = WarmUp::run(&mut instances, &signature, &samples, &batching)?;
    let warmed_up_in = started.elapsed();
    let description = describe(&signature, &batching, config);
    let signature = Arc::new(signature);
    Ok(Prepared {
        signature,
        instances,
        rebuild,
        batching,
        warm_up,
        warmed_up_in,
        status,
        description,
    })
}

/// Holds what the model's configuration claims against the model and runs the requests that it brings. They and
/// the version's own are its samples.
fn warmed_up(
    instances: &mut [Box<dyn Instance>],
    folder: &Path,
    config: &ModelConfig,
    signature: &Signature,
) -> Result<Vec<Vec<Tensor>>, LoadError> {
    let mut samples = samples::read(folder, signature);
    if let Some(triton) = &config.triton {
        triton.check(signature)?;
        let requests = triton.warm_up_requests(signature)?;
        run_warm_up(instances, &requests)?;
        samples.extend(requests.into_iter().map(|request| request.inputs));
    }
    Ok(samples)
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
    /// when it runs again. `edition` tells it from others of the same number.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        self,
        thread_name: &str,
        version: Version,
        edition: u64,
        config: &ModelConfig,
        metrics: Arc<ModelMetrics>,
        hears: impl Fn(Fitness) + Send + Sync + 'static,
    ) -> Result<Running, LoadError> {
        let (queue, mut batcher) = tidegate_batcher::queue(self.batching, config.max_queue_size);
        self.warm_up.teach(&mut batcher);
        let mut care = Care::new(self.rebuild);
        care.probe = self.warm_up.into_probe();
        care.max_execution_time = config.max_execution_time;
        care.hears = Box::new(hears);
        let instances =
            InstanceGroup::start(thread_name, self.instances, batcher, Arc::clone(&metrics), care)
                .map_err(|error| {
                    LoadError::new(format!("its threads cannot be started: {error}"))
                })?;
        let timing = Timing { slo: config.slo, request_timeout: config.request_timeout };
        let lane = Lane { version, signature: self.signature, queue, timing, metrics };
        Ok(Running { edition, lane: Arc::new(lane), instances })
    }
}

/// For a scrape.
fn view(queue: &Queue) -> QueueView {
    let waiting = queue.len();
    let Some(cost) = queue.known_cost() else {
        return QueueView { waiting, ..QueueView::default() };
    };
    QueueView {
        waiting,
        full_batch_rows: cost.full_rows,
        full_batch: cost.full,
        single_row: cost.one,
    }
}

impl Running {
    /// From now on, scrapes look at its queue, for as long as that lives.
    pub fn show(&self) {
        let waiting = Arc::downgrade(&self.lane.queue);
        let look = move || waiting.upgrade().map(|queue| view(&queue)).unwrap_or_default();
        self.lane.metrics.watch_queue(look);
    }

    /// Refuses new requests, answers those that wait, ends the threads. Says how many are stuck in the
    /// engine.
    pub fn stop(self) -> usize {
        self.lane.queue.close();
        self.instances.join()
    }
}
