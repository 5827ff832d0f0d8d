//! A curve from a real model, through the same binding as the gateway's and the same runs as `ceiling`'s.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_backend::LoadOptions;
use tidegate_backend_ort::{LibrarySearch, OrtBackend, OrtRuntime};

use super::curve::ServiceCurve;
use super::service::Noise;
use crate::Failure;
use crate::ceiling::{Inputs, NamedShape, Raw};
use crate::histogram::Recorded;

/// How a model is measured.
#[derive(Clone, Debug)]
pub struct Measuring {
    pub library: Option<PathBuf>,
    pub shapes: Vec<NamedShape>,
    pub batches: Vec<NonZeroUsize>,
    /// So many run side by side, as they will.
    pub instances: NonZeroUsize,
    pub intra_op_threads: NonZeroUsize,
    /// For each batch size, in three rounds.
    pub time: Duration,
}

/// A machine that is slow for a moment is slow for all sizes.
const ROUNDS: u32 = 3;

/// The median at each size, and how all runs lie around theirs.
///
/// # Errors
/// When ONNX Runtime or the model cannot be opened, or the model refuses its inputs.
pub fn measure(model: &Path, measuring: &Measuring) -> Result<(ServiceCurve, Noise), Failure> {
    let Measuring { instances, intra_op_threads, .. } = *measuring;
    let search = LibrarySearch::from_environment(measuring.library.clone());
    let runtime = OrtRuntime::open(&search).map_err(|error| Failure::new(error.to_string()))?;
    let loaded =
        OrtBackend::new(runtime).load_model(model, &LoadOptions { instances, intra_op_threads });
    let mut raw = Raw::new(loaded).map_err(|failure| failure.within(model.display()))?;
    let inputs = Inputs::new(&raw.signature, &measuring.shapes, 1)?;
    let mut sizes: Vec<usize> = if inputs.batches() {
        measuring.batches.iter().map(|batch| batch.get()).collect()
    } else {
        vec![1]
    };
    sizes.sort_unstable();
    sizes.dedup();
    let batches = sizes.iter().map(|rows| Ok((*rows, inputs.batch(*rows)?)));
    let batches = batches.collect::<Result<Vec<_>, Failure>>()?;
    let mut times = vec![Recorded::default(); batches.len()];
    for (rows, batch) in &batches {
        raw.run(batch, *rows, instances.get(), Duration::ZERO)?;
    }
    for _ in 0..ROUNDS {
        for ((rows, batch), times) in batches.iter().zip(&mut times) {
            let run = raw.run(batch, *rows, instances.get(), measuring.time / ROUNDS)?;
            times.add(&run.times);
        }
    }
    let medians = sizes.iter().zip(&times).map(|(rows, times)| (*rows, median(times)));
    Ok((ServiceCurve::new(medians)?, noise(&times)))
}

fn median(times: &Recorded) -> Duration {
    Duration::from_secs_f64(times.ms(0.5) / 1e3)
}

/// All sizes together: each run as a share of its size's median.
fn noise(times: &[Recorded]) -> Noise {
    let mut shares = Recorded::default();
    for times in times.iter().filter(|times| !times.is_empty()) {
        for run in times.inner().iter_recorded() {
            let share = run.value_iterated_to() as f64 / 1e6 / times.ms(0.5);
            for _ in 0..run.count_at_value() {
                shares.record(Duration::from_secs_f64(share));
            }
        }
    }
    Noise::of_runs(&shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_all_sizes_are_noise_around_their_own_median() {
        let recorded = |base: u64| {
            let mut times = Recorded::default();
            for run in 0..100 {
                times.record(Duration::from_micros(base * if run % 4 == 0 { 3 } else { 2 }));
            }
            times
        };
        let Noise::Recorded(factors) = noise(&[recorded(50), recorded(5000)]) else {
            panic!("runs were recorded")
        };
        let slow = factors.iter().filter(|factor| (1.45..1.55).contains(*factor)).count();
        assert!((240..260).contains(&slow), "{slow}");
    }
}
