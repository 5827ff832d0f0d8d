//! The first runs of a version: they allocate, plan and page in, so that no caller waits for that, and
//! they measure what batches cost, so that the batcher starts with a latency curve.
//!
//! Sizes double until the cap, until larger batches have stopped to pay, or until the time is up. Of a
//! few runs of a size the fastest counts: the first one pays for memory, and a neighbour may take the core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_backend::{Instance, LoadError};
use tidegate_batcher::{
    Batcher, Batching, Curve, InputAxis, InputBuffers, RowLayout, concat_rows, slice_rows,
};
use tidegate_inference::{Dim, Shape, Signature, Tensor, TensorData, TensorSpec};
use tracing::debug;

/// What measuring may take: a probe's patience, and less than loading takes.
const BUDGET: Duration = Duration::from_secs(1);

/// Runs of one size, and the time after which fewer are enough.
const RUNS: usize = 5;
const LONG: Duration = Duration::from_millis(20);

/// Past the knee by so much, larger sizes are not tried any more.
const PAST_THE_KNEE: usize = 4;

/// A request that has run, and what batches of it took.
pub struct WarmUp {
    request: Vec<Tensor>,
    /// Whether every instance answered it.
    is_answered: bool,
    points: Vec<(usize, Duration)>,
}

impl WarmUp {
    /// Warms every instance, and measures one.
    ///
    /// # Errors
    /// When an instance fails on the version's own sample.
    pub fn run(
        instances: &mut [Box<dyn Instance>],
        signature: &Signature,
        samples: &[Vec<Tensor>],
        batching: &Batching,
    ) -> Result<Self, LoadError> {
        let request = samples.first().cloned().unwrap_or_else(|| blank_request(signature));
        let mut buffers = InputBuffers::default();
        let mut is_answered = true;
        for (number, instance) in instances.iter_mut().enumerate() {
            match instance.run(&buffers.views(&request)) {
                Err(failure) if !samples.is_empty() => {
                    let reason =
                        format!("instance {} fails on its own sample: {failure}", number + 1);
                    return Err(LoadError::new(reason));
                }
                // Nobody said that a model must accept what we made up.
                Err(failure) => {
                    debug!(%failure, "a made-up warm-up request was refused");
                    is_answered = false;
                }
                Ok(_) => {}
            }
        }
        let mut warm_up = Self { request, is_answered, points: Vec::new() };
        if let Some(instance) = instances.first_mut().filter(|_| is_answered) {
            warm_up.measure(&mut **instance, batching);
        }
        Ok(warm_up)
    }

    /// Gives the batcher what was measured.
    pub fn teach(&self, batcher: &mut Batcher) {
        if !self.points.is_empty() {
            batcher.seed(&self.request, &self.points, Instant::now());
        }
    }

    /// A request that every instance answers, if there is one.
    pub fn into_probe(self) -> Option<Vec<Tensor>> {
        self.is_answered.then_some(self.request)
    }

    fn measure(&mut self, instance: &mut dyn Instance, batching: &Batching) {
        let until = Instant::now() + BUDGET;
        let (layout, max_rows) = match batching {
            Batching::Rows { layout, policy } => (Some(layout), policy.max_batch_size()),
            Batching::Unbatched => (None, 1),
        };
        let sizes = std::iter::successors(Some(1), |rows: &usize| rows.checked_mul(2))
            .take_while(|rows| *rows < max_rows)
            .chain([max_rows]);
        for rows in sizes {
            let batch = match layout {
                Some(layout) => repeated(&self.request, layout, rows),
                None => self.request.clone(),
            };
            let Some(time) = fastest(instance, &batch, until) else { return };
            self.points.push((rows, time));
            let knee = Curve::through(&self.points).knee();
            let is_past = knee.is_some_and(|knee| rows >= knee.saturating_mul(PAST_THE_KNEE));
            // The next size takes at most twice as long, and is run three times at least.
            if is_past || Instant::now() + 6 * time > until {
                return;
            }
        }
    }
}

/// The shortest of a few runs. None when one fails.
fn fastest(instance: &mut dyn Instance, batch: &[Tensor], until: Instant) -> Option<Duration> {
    let mut buffers = InputBuffers::default();
    let mut best: Option<Duration> = None;
    for run in 0..RUNS {
        let start = Instant::now();
        if let Err(failure) = instance.run(&buffers.views(batch)) {
            debug!(%failure, "a made-up batch was refused");
            return None;
        }
        let took = start.elapsed();
        best = Some(best.map_or(took, |best| best.min(took)));
        if run > 1 && (took > LONG || Instant::now() >= until) {
            break;
        }
    }
    best
}

/// A batch of the request's first row, so many times.
fn repeated(request: &[Tensor], layout: &RowLayout, rows: usize) -> Vec<Tensor> {
    let inputs = request.iter().zip(&layout.inputs).map(|(tensor, axis)| match *axis {
        InputAxis::Rows(axis) => concat_rows(axis, &vec![slice_rows(tensor, axis, 0..1); rows]),
        InputAxis::Shared => tensor.clone(),
    });
    inputs.collect()
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
