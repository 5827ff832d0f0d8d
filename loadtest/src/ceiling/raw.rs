//! The baseline "what the model can do": ONNX Runtime in a loop, in this process, through the same binding as the
//! gateway's. Inputs are joined beforehand and outputs are dropped unread, so nothing but the runs is timed.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use tidegate_backend::{Instance, LoadError, Loaded};
use tidegate_batcher::InputBuffers;
use tidegate_inference::{Signature, Tensor};

use super::cpu;
use crate::Failure;
use crate::histogram::Recorded;

/// A loaded model.
pub struct Raw {
    pub signature: Signature,
    instances: Vec<Box<dyn Instance>>,
}

/// One while of it.
pub struct RawRun {
    pub rows_per_second: f64,
    /// One for each run of the model.
    pub times: Recorded,
    pub rows: u64,
    /// User and system time of this process, where the system tells it: nothing else is to happen in it meanwhile.
    pub cpu: Option<Duration>,
}

impl Raw {
    /// # Errors
    /// When the model could not be loaded.
    pub fn new(loaded: Result<Loaded, LoadError>) -> Result<Self, Failure> {
        let Loaded { signature, instances, .. } =
            loaded.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Self { signature, instances })
    }

    /// The model's answer to one batch.
    ///
    /// # Errors
    /// When the model refuses the inputs.
    pub fn answer(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let first = self.instances.first_mut().ok_or("a model is loaded at least once")?;
        run_once(&mut **first, &InputBuffers::default().views(inputs))
    }

    /// Runs a batch of `rows` rows over and over for `time`, on `instances` instances side by side. A run that has begun
    /// is waited for.
    ///
    /// # Errors
    /// When the model refuses the inputs.
    pub fn run(
        &mut self,
        inputs: &[Tensor],
        rows: usize,
        instances: usize,
        time: Duration,
    ) -> Result<RawRun, Failure> {
        let instances = self.instances.iter_mut().take(instances);
        let barrier = Barrier::new(instances.len());
        let before = cpu::of_this_process();
        let timed: Vec<Result<Timed, Failure>> = std::thread::scope(|scope| {
            let workers: Vec<_> = instances
                .map(|instance| scope.spawn(|| repeat(&mut **instance, inputs, &barrier, time)))
                .collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|_| Err("a run of the model panicked".into()))
            };
            workers.into_iter().map(join).collect()
        });
        let cpu = before.and_then(|before| cpu::of_this_process()?.checked_sub(before));
        let mut run = RawRun { rows_per_second: 0.0, times: Recorded::default(), rows: 0, cpu };
        for timed in timed {
            let Timed { times, wall } = timed?;
            let done = times.len() * rows as u64;
            run.rows_per_second += done as f64 / wall.as_secs_f64();
            run.rows += done;
            run.times.add(&times);
        }
        Ok(run)
    }
}

impl RawRun {
    pub fn cpu_us_per_row(&self) -> Option<f64> {
        self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.rows as f64)
    }
}

struct Timed {
    times: Recorded,
    wall: Duration,
}

fn repeat(
    instance: &mut dyn Instance,
    inputs: &[Tensor],
    barrier: &Barrier,
    time: Duration,
) -> Result<Timed, Failure> {
    let mut buffers = InputBuffers::default();
    let views = buffers.views(inputs);
    let mut times = Recorded::default();
    barrier.wait();
    let start = Instant::now();
    let mut now = start;
    loop {
        run_once(instance, &views)?;
        let after = Instant::now();
        times.record(after - now);
        now = after;
        if now - start >= time {
            return Ok(Timed { times, wall: now - start });
        }
    }
}

fn run_once(
    instance: &mut dyn Instance,
    views: &[tidegate_batcher::TensorView<'_>],
) -> Result<Vec<Tensor>, Failure> {
    instance.run(views).map_err(|error| Failure::new(error.error().message()))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::Path;

    use bytes::Bytes;
    use tidegate_backend::{Backend, LoadOptions, MockBackend};
    use tidegate_inference::{DataType, Dim, Shape, TensorData, TensorSpec};

    use super::*;

    fn two_instances(mock: &MockBackend) -> Raw {
        let options = LoadOptions {
            instances: NonZeroUsize::new(2).unwrap(),
            intra_op_threads: NonZeroUsize::MIN,
        };
        Raw::new(mock.load(Path::new("."), &options)).unwrap()
    }

    fn mock() -> MockBackend {
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            datatype: DataType::Uint8,
            shape: vec![Dim::Dynamic],
        };
        MockBackend::echo(Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] })
    }

    fn batch() -> [Tensor; 1] {
        let data = TensorData::Fixed(Bytes::from_static(&[1, 2, 3]));
        [Tensor::new("x", DataType::Uint8, Shape::new(&[3]), data).unwrap()]
    }

    #[test]
    fn every_run_counts_all_rows_of_its_batch() {
        let mut raw = two_instances(&mock());
        let run = raw.run(&batch(), 3, 2, Duration::ZERO).unwrap();
        assert_eq!((run.rows, run.times.len()), (6, 2), "one run on each instance");
        let run = raw.run(&batch(), 3, 1, Duration::ZERO).unwrap();
        assert_eq!((run.rows, run.times.len()), (3, 1));
        assert!(run.rows_per_second > 0.0);
    }

    #[test]
    fn a_model_that_fails_ends_the_measurement_with_its_own_words() {
        let mock = mock();
        let mut raw = two_instances(&mock);
        mock.fail_when(|_| true);
        assert!(raw.run(&batch(), 3, 2, Duration::ZERO).is_err());
        assert!(raw.answer(&batch()).is_err());
    }

    #[test]
    fn a_model_that_panics_is_an_error_and_no_hang() {
        let mock = mock();
        let mut raw = two_instances(&mock);
        mock.panic_when(|_| true);
        let error = raw.run(&batch(), 3, 2, Duration::ZERO).err().unwrap();
        assert!(error.to_string().contains("panicked"), "{error}");
    }
}
