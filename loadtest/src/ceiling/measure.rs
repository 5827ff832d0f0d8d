//! Rounds: every batch with every number of threads for a short while, one after the other, again and again, so that a
//! machine that is slow for a minute is slow for all of them. Then the same for the wire.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use tidegate_backend::LoadOptions;
use tidegate_backend_ort::OrtBackend;
use tidegate_inference::Tensor;

use super::bare::{Bare, Protocol};
use super::echo::{Exchange, closed_loop};
use super::figures::{BareFigures, RawFigures};
use super::inputs::Inputs;
use super::knee::knee;
use super::raw::{Raw, RawRun};
use super::threads::Threads;
use crate::Failure;
use crate::figures::Run;
use crate::histogram::Recorded;
use crate::statistics::median;

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub rounds: NonZeroUsize,
    /// For each measurement of each round.
    pub time: Duration,
    /// After it, nothing new is begun.
    pub until: Instant,
}

/// The model, loaded once for each number of threads within a run, with as many instances as any measurement wants.
pub struct Models(Vec<(NonZeroUsize, Raw)>);

/// One measurement of the model, repeated.
pub struct RawCell {
    threads: Threads,
    batch: usize,
    inputs: Vec<Tensor>,
    runs: Vec<RawRun>,
}

/// A bare server, and what it is asked.
pub struct Server {
    pub bare: Bare,
    pub protocol: Protocol,
    pub exchange: Exchange,
    pub answer_bytes: usize,
}

pub struct BareCell<'a> {
    server: &'a Server,
    callers: NonZeroUsize,
    runs: Vec<Run>,
}

impl Models {
    /// # Errors
    /// When the model cannot be loaded.
    pub fn load(
        backend: &OrtBackend,
        file: &std::path::Path,
        threads: &[Threads],
    ) -> Result<Self, Failure> {
        let mut models: Vec<(NonZeroUsize, Raw)> = Vec::new();
        for &Threads { intra_op, .. } in threads {
            if models.iter().any(|(loaded, _)| *loaded == intra_op) {
                continue;
            }
            let same = threads.iter().filter(|threads| threads.intra_op == intra_op);
            let instances = same.map(|threads| threads.instances).max();
            let instances = instances.unwrap_or(NonZeroUsize::MIN);
            let options = LoadOptions { instances, intra_op_threads: intra_op };
            models.push((intra_op, Raw::new(backend.load_model(file, &options))?));
        }
        Ok(Self(models))
    }

    /// # Errors
    /// When no threads were asked for.
    pub fn first(&mut self) -> Result<&mut Raw, Failure> {
        let (_, raw) = self.0.first_mut().ok_or("at least one number of threads is measured")?;
        Ok(raw)
    }

    fn run(&mut self, cell: &RawCell, time: Duration) -> Result<RawRun, Failure> {
        let RawCell { threads, batch, inputs, .. } = cell;
        let loaded = self.0.iter_mut().find(|(intra_op, _)| *intra_op == threads.intra_op);
        let (_, raw) = loaded.ok_or("every number of threads was loaded")?;
        raw.run(inputs, *batch, threads.instances.get(), time)
            .map_err(|failure| failure.within(format!("batch {batch}, {threads}")))
    }
}

impl RawCell {
    /// # Errors
    /// When a batch would be too large.
    pub fn all(
        threads: &[Threads],
        batches: &[usize],
        inputs: &Inputs,
    ) -> Result<Vec<Self>, Failure> {
        let mut cells = Vec::new();
        for &threads in threads {
            for &batch in batches {
                let inputs = inputs.batch(batch)?;
                cells.push(Self { threads, batch, inputs, runs: Vec::new() });
            }
        }
        Ok(cells)
    }
}

impl<'a> BareCell<'a> {
    pub fn new(server: &'a Server, callers: NonZeroUsize) -> Self {
        Self { server, callers, runs: Vec::new() }
    }

    fn run(&self, time: Duration) -> Result<Run, Failure> {
        let Server { bare, protocol, exchange, .. } = self.server;
        closed_loop(bare, *protocol, exchange, self.callers, time)
    }
}

/// Measures all of them in turn, round after round, and answers with the rounds that came to their end.
///
/// # Errors
/// When the model refuses a batch, or the engine cannot run.
pub fn measure(
    models: &mut Models,
    raw: &mut [RawCell],
    bare: &mut [BareCell<'_>],
    pace: &Pace,
    progress: &mut dyn FnMut(&str),
) -> Result<usize, Failure> {
    progress("warming up");
    // Pages, caches, and the first run of each shape, in which ONNX Runtime plans its memory.
    for cell in raw.iter() {
        models.run(cell, Duration::ZERO)?;
        if pace.is_over() {
            return Ok(0);
        }
    }
    for round in 0..pace.rounds.get() {
        progress(&format!("round {} of {}", round + 1, pace.rounds));
        for cell in raw.iter_mut() {
            if pace.is_over() {
                return Ok(round);
            }
            let run = models.run(cell, pace.time)?;
            cell.runs.push(run);
        }
        for cell in bare.iter_mut() {
            if pace.is_over() {
                return Ok(round);
            }
            let run = cell.run(pace.time)?;
            cell.runs.push(run);
        }
    }
    Ok(pace.rounds.get())
}

impl Pace {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// Medians over the rounds, the knees marked. What was never measured is left out.
pub fn raw_figures(cells: &[RawCell]) -> Vec<RawFigures> {
    let measured = cells.iter().filter(|cell| !cell.runs.is_empty());
    let mut figures: Vec<RawFigures> = measured.map(raw_figure).collect();
    for group in figures.chunk_by_mut(|one, next| one.threads == next.threads) {
        let curve: Vec<(usize, f64)> =
            group.iter().map(|figure| (figure.batch, figure.rows_per_second)).collect();
        let knee = knee(&curve);
        for figure in group {
            figure.knee = knee == Some(figure.batch);
        }
    }
    figures
}

fn raw_figure(cell: &RawCell) -> RawFigures {
    let mut times = Recorded::default();
    for run in &cell.runs {
        times.add(&run.times);
    }
    let cpu: Option<Vec<f64>> = cell.runs.iter().map(RawRun::cpu_us_per_row).collect();
    RawFigures {
        threads: cell.threads,
        batch: cell.batch,
        rows_per_second: median(cell.runs.iter().map(|run| run.rows_per_second)),
        p50_ms: times.ms(0.5),
        p99_ms: times.ms(0.99),
        runs: times.len(),
        cpu_us_per_row: cpu.map(median),
        knee: false,
    }
}

/// Medians over the rounds. What was never measured is left out.
pub fn bare_figures(cells: &[BareCell<'_>]) -> Vec<BareFigures> {
    cells.iter().filter(|cell| !cell.runs.is_empty()).map(bare_figure).collect()
}

fn bare_figure(cell: &BareCell<'_>) -> BareFigures {
    let mut latency = Recorded::default();
    for run in &cell.runs {
        latency.add(&run.latency_uncorrected.histogram);
    }
    let cpu: Option<Vec<f64>> = cell.runs.iter().map(|run| run.server.cpu_us_per_request).collect();
    let mut doubts: Vec<String> =
        cell.runs.iter().flat_map(|run| run.validity.reasons.iter().cloned()).collect();
    doubts.sort_unstable();
    doubts.dedup();
    BareFigures {
        protocol: cell.server.protocol.name().to_owned(),
        callers: cell.callers.get(),
        request_bytes: cell.server.exchange.question.request.body.len(),
        answer_bytes: cell.server.answer_bytes,
        requests_per_second: median(cell.runs.iter().map(|run| run.throughput)),
        p50_ms: latency.ms(0.5),
        p99_ms: latency.ms(0.99),
        requests: latency.len(),
        cpu_us_per_request: cpu.map(median),
        generator_cores: median(cell.runs.iter().map(|run| run.generator.cpu_cores)),
        doubts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(text: &str) -> Threads {
        text.parse().unwrap()
    }

    fn cell(threads: Threads, batch: usize, rates: &[f64]) -> RawCell {
        let run = |&rows_per_second: &f64| {
            let mut times = Recorded::default();
            times.record(Duration::from_millis(2));
            let cpu = Some(Duration::from_micros(batch as u64 * 30));
            RawRun { rows_per_second, times, rows: batch as u64, cpu }
        };
        RawCell { threads, batch, inputs: Vec::new(), runs: rates.iter().map(run).collect() }
    }

    #[test]
    fn a_disturbed_round_does_not_move_a_figure() {
        let figures = raw_figures(&[cell(threads("1x1"), 4, &[100.0, 7.0, 104.0])]);
        let [figure] = &figures[..] else { panic!("{figures:?}") };
        assert_eq!((figure.rows_per_second, figure.runs), (100.0, 3));
        assert_eq!(figure.cpu_us_per_row, Some(30.0));
    }

    #[test]
    fn each_number_of_threads_has_its_own_knee() {
        let (one, two) = (threads("1x1"), threads("2x1"));
        let figures = raw_figures(&[
            cell(one, 1, &[100.0]),
            cell(one, 2, &[101.0]),
            cell(two, 1, &[100.0]),
            cell(two, 2, &[200.0]),
            cell(two, 4, &[201.0]),
        ]);
        let knees: Vec<_> = figures.iter().filter(|figure| figure.knee).collect();
        let knees: Vec<_> = knees.iter().map(|figure| (figure.threads, figure.batch)).collect();
        assert_eq!(knees, [(one, 1), (two, 2)]);
    }

    #[test]
    fn what_was_never_measured_is_left_out() {
        let cells = [cell(threads("1x1"), 1, &[100.0]), cell(threads("1x1"), 2, &[])];
        assert_eq!(raw_figures(&cells).len(), 1);
    }
}
