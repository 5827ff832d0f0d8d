//! The highest rate that meets an objective.
//!
//! [`Course`] decides which rate is tried next and knows nothing but outcomes; [`Objective`] judges a run; [`find`] lets
//! the caller drive the trials and puts the figures together. A rate that the generator itself could not send ends the search
//! upwards and is told as what it is: no statement about the server.

mod course;
mod objective;

use clap::Args;

use crate::Failure;
use crate::arrivals::{HIGHEST_RATE, rate};
use crate::figures;
use crate::figures::Run;
use crate::histogram::Recorded;
use crate::statistics::{mlperf_queries, percentile_ranks};

pub use crate::search::course::{Course, End, Next, Phase};
pub use crate::search::objective::{Limits, Objective, Outcome, share};

/// How the search goes, for command lines and as plain values.
#[derive(Args, Clone, Debug, PartialEq)]
#[group(skip)]
pub struct Options {
    /// Requests per second at which the search begins
    #[arg(long = "start-rate", value_name = "RATE", default_value = "100", value_parser = rate)]
    pub start: f64,
    /// Below this rate nothing is tried
    #[arg(long = "lowest-rate", value_name = "RATE", default_value = "1", value_parser = rate)]
    pub lowest: f64,
    /// Above this rate nothing is tried
    #[arg(long = "highest-rate", value_name = "RATE", default_value_t = HIGHEST_RATE, value_parser = rate)]
    pub highest: f64,
    /// How near the highest rate that passes and the lowest that fails must come: 5%
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = precision)]
    pub precision: f64,
    /// Runs at the rate that was found; all of them have to pass
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub confirmations: u32,
    /// Trials at most
    #[arg(long = "most-trials", value_name = "N", default_value = "60", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub most_trials: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            start: 100.0,
            lowest: 1.0,
            highest: HIGHEST_RATE,
            precision: 0.05,
            confirmations: 3,
            most_trials: 60,
        }
    }
}

/// What a trial has to drive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    pub rate: f64,
    pub phase: Phase,
    /// Counted from 0. A seed should depend on it: the same schedule twice confirms nothing.
    pub index: usize,
}

/// Searches by way of `trial`, which drives one open-loop run at the rate that it is asked for.
///
/// # Errors
/// Only those of `trial`.
pub fn find(
    objective: &Objective,
    options: &Options,
    trial: &mut dyn FnMut(Ask) -> Result<Run, Failure>,
) -> Result<(figures::Search, Vec<Run>), Failure> {
    let mut course = Course::new(options.clone());
    let (mut trials, mut runs) = (Vec::new(), Vec::new());
    let end = loop {
        let (rate, phase) = match course.next() {
            Next::Try { rate, phase } => (rate, phase),
            Next::Done(end) => break end,
        };
        let run = trial(Ask { rate, phase, index: runs.len() })?;
        let outcome = objective.judge(rate, &run);
        trials.push(figures::Trial {
            rate,
            phase: phase.name().to_owned(),
            passed: outcome.passed(),
            reason: outcome.to_string(),
            run: runs.len(),
        });
        runs.push(run);
        course.found(rate, outcome);
    };
    let confidence = confidence(objective, &end, &trials, &runs);
    let search =
        figures::Search { objective: objective.to_string(), rate: end.rate, trials, confidence };
    Ok((search, runs))
}

/// The validity line.
fn confidence(objective: &Objective, end: &End, trials: &[figures::Trial], runs: &[Run]) -> String {
    let Some(rate) = end.rate else {
        return end.reason.clone();
    };
    let mut all = Recorded::default();
    let at_rate = trials.iter().filter(|trial| trial.rate == rate && trial.passed);
    let mut count = 0;
    for run in at_rate.filter_map(|trial| runs.get(trial.run)) {
        all.add(&run.best_latency().histogram);
        count += 1;
    }
    let samples = all.len();
    let mut line =
        format!("{}; {samples} samples in {count} runs at {rate} requests/s", end.reason);
    if let Some((quantile, _)) = objective.highest_percentile() {
        let wanted = mlperf_queries(quantile);
        let enough = if samples >= wanted { "enough" } else { "too few" };
        let name = objective::percentile_name(quantile);
        line += &format!(
            ", {enough} by MLPerf's rule for {name} at 99 % confidence ({wanted}); {}",
            held(&all, quantile, &name)
        );
    }
    line
}

fn held(all: &Recorded, quantile: f64, name: &str) -> String {
    let samples = all.len();
    let ranks = percentile_ranks(samples, quantile, 0.99);
    // The middle of a rank's share, so that rounding cannot reach its neighbour.
    let at = |rank: u64| all.ms((rank as f64 - 0.5) / samples as f64);
    match (ranks.low.map(at), ranks.high.map(at)) {
        (Some(low), Some(high)) => {
            format!("independent samples would put the {name} between {low:.2} and {high:.2} ms")
        }
        (Some(low), None) => {
            format!("samples give the {name} no upper bound, only {low:.2} ms below")
        }
        _ => format!("samples give the {name} no bounds at all"),
    }
}

/// Per cent or a plain share, above 0 and below 100 %.
fn precision(text: &str) -> Result<f64, String> {
    let precision = share(text)?;
    if (0.001..=0.5).contains(&precision) {
        Ok(precision)
    } else {
        Err(format!("expected 0.1% to 50%, got {text:?}"))
    }
}

#[cfg(test)]
mod tests;
