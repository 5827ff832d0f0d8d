//! The baseline "what the model can do": ONNX Runtime in a loop, in this process, through the same
//! binding, with as many sessions and threads as the gateway gives the model. Inputs are joined
//! beforehand and outputs are dropped unread, so nothing but the runs is timed.

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use tidegate_backend::{Backend, Instance, LoadOptions, Loaded};
use tidegate_backend_ort::OrtBackend;
use tidegate_batcher::{InputBuffers, concat_rows};
use tidegate_inference::{Signature, Tensor};

use crate::Result;

/// A loaded model.
pub struct Raw {
    pub signature: Signature,
    instances: Vec<Box<dyn Instance>>,
}

/// One round of it.
pub struct RawRun {
    pub rows_per_second: f64,
    /// One for each run of the model.
    pub times: Vec<Duration>,
}

impl Raw {
    pub fn load(backend: &OrtBackend, version: &Path, options: &LoadOptions) -> Result<Self> {
        let Loaded { signature, instances } = backend.load(version, options)?;
        Ok(Self { signature, instances })
    }

    /// The model's answer to one request.
    pub fn answer(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut buffers = InputBuffers::default();
        let first = self.instances.first_mut().ok_or("a model is loaded at least once")?;
        Ok(first.run(&buffers.views(inputs))?)
    }

    /// Runs batches of `batch` rows for `time`, on `threads` instances side by side. The rows are
    /// those given, over and over.
    pub fn run(
        &mut self,
        rows: &[Tensor],
        batch: usize,
        threads: usize,
        time: Duration,
    ) -> Result<RawRun> {
        let parts: Vec<Tensor> = rows.iter().cycle().take(batch).cloned().collect();
        let inputs = [concat_rows(0, &parts)];
        let instances = self.instances.iter_mut().take(threads);
        let barrier = Barrier::new(instances.len());
        let runs: Vec<Result<Timed>> = std::thread::scope(|scope| {
            let workers: Vec<_> = instances
                .map(|instance| scope.spawn(|| repeat(&mut **instance, &inputs, &barrier, time)))
                .collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|_| Err("a run of the model panicked".into()))
            };
            workers.into_iter().map(join).collect()
        });
        let mut run = RawRun { rows_per_second: 0.0, times: Vec::new() };
        for timed in runs {
            let Timed { times, wall } = timed?;
            run.rows_per_second += (times.len() * batch) as f64 / wall.as_secs_f64();
            run.times.extend(times);
        }
        Ok(run)
    }
}

struct Timed {
    times: Vec<Duration>,
    wall: Duration,
}

fn repeat(
    instance: &mut dyn Instance,
    inputs: &[Tensor],
    barrier: &Barrier,
    time: Duration,
) -> Result<Timed> {
    let mut buffers = InputBuffers::default();
    let views = buffers.views(inputs);
    let mut times = Vec::new();
    barrier.wait();
    let start = Instant::now();
    let mut now = start;
    while now - start < time {
        instance.run(&views)?;
        let after = Instant::now();
        times.push(after - now);
        now = after;
    }
    Ok(Timed { times, wall: now - start })
}
