//! What a rate has to meet: percentiles of the corrected latency, a share of errors, and that it was really sent.

use std::fmt;
use std::time::Duration;

use clap::Args;

use crate::figures::Run;
use crate::question::Ending;

/// Of the requests that were due, how many have to be sent.
const SENT_SHARE: f64 = 0.99;

/// As they stand on a command line.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[group(skip)]
pub struct Limits {
    /// Limit of the median
    #[arg(long, value_name = "TIME", value_parser = tidegate_configuration::parse_duration)]
    pub p50: Option<Duration>,
    /// Limit of the 90th percentile
    #[arg(long, value_name = "TIME", value_parser = tidegate_configuration::parse_duration)]
    pub p90: Option<Duration>,
    /// Limit of the 95th percentile
    #[arg(long, value_name = "TIME", value_parser = tidegate_configuration::parse_duration)]
    pub p95: Option<Duration>,
    /// Limit of the 99th percentile
    #[arg(long, value_name = "TIME", value_parser = tidegate_configuration::parse_duration)]
    pub p99: Option<Duration>,
    /// Limit of the 99.9th percentile
    #[arg(long, value_name = "TIME", value_parser = tidegate_configuration::parse_duration)]
    pub p999: Option<Duration>,
    /// Share of requests that may end in an error: 0.1%
    #[arg(long, value_name = "SHARE", default_value = "0.1%", value_parser = share)]
    pub max_errors: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Quantile and limit, ascending.
    percentiles: Vec<(f64, Duration)>,
    max_errors: f64,
}

/// The verdict on one run. The text says what was measured, or why it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed(String),
    Failed(String),
    /// The generator could not keep up: nothing is known about the server.
    Generator(String),
    /// Somebody ended the run.
    Interrupted(String),
}

impl Outcome {
    pub fn passed(&self) -> bool {
        matches!(self, Self::Passed(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Passed(text)
        | Self::Failed(text)
        | Self::Generator(text)
        | Self::Interrupted(text)) = self;
        f.write_str(text)
    }
}

impl Limits {
    pub fn objective(&self) -> Objective {
        let limits = [
            (0.5, self.p50),
            (0.9, self.p90),
            (0.95, self.p95),
            (0.99, self.p99),
            (0.999, self.p999),
        ];
        let given = limits.into_iter().filter_map(|(quantile, limit)| Some((quantile, limit?)));
        Objective::new(given.collect(), self.max_errors)
    }
}

impl Objective {
    /// Quantiles from 0 to 1 with their limits, and the share of errors that is allowed.
    pub fn new(mut percentiles: Vec<(f64, Duration)>, max_errors: f64) -> Self {
        percentiles.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Self { percentiles, max_errors }
    }

    pub fn highest_percentile(&self) -> Option<(f64, Duration)> {
        self.percentiles.last().copied()
    }

    pub fn judge(&self, rate: f64, run: &Run) -> Outcome {
        let reasons = run.validity.reasons.join("; ");
        let latency = run.best_latency();
        // Nothing that is right within a whole run is the server's failing, though such a run is invalid too.
        if latency.samples == 0 {
            return Outcome::Failed(format!(
                "none of {} requests was answered rightly",
                run.requests
            ));
        }
        if run.validity.interrupted {
            return Outcome::Interrupted(reasons);
        }
        let (measured, failed) = self.measure(rate, run);
        // A generator that is late only adds to the latencies: what is within the limits all the same would be without it.
        if failed.is_empty() {
            Outcome::Passed(measured.join(", "))
        } else if !run.validity.valid {
            Outcome::Generator(reasons)
        } else {
            Outcome::Failed(failed.join(", "))
        }
    }

    /// What was measured, all of it, and what of it is not within its limit.
    fn measure(&self, rate: f64, run: &Run) -> (Vec<String>, Vec<String>) {
        let (mut measured, mut failed) = (Vec::new(), Vec::new());
        let histogram = &run.best_latency().histogram;
        for (quantile, limit) in &self.percentiles {
            let name = percentile_name(*quantile);
            let found = histogram.ms(*quantile);
            let limit = limit.as_secs_f64() * 1e3;
            measured.push(format!("{name} {found:.2} ms"));
            if found > limit {
                failed.push(format!("{name} {found:.2} ms, above {limit} ms"));
            }
        }
        let errors = run.errors() as f64 / run.requests.max(1) as f64;
        measured.push(format!("errors {:.3} %", errors * 100.0));
        if errors > self.max_errors {
            failed.push(format!(
                "errors {:.3} %, above {} %",
                errors * 100.0,
                percent(self.max_errors)
            ));
        }
        failed.extend(not_reached(rate, run));
        (measured, failed)
    }
}

fn not_reached(rate: f64, run: &Run) -> Option<String> {
    let due = run.requests as f64;
    let wanted = rate * run.duration_s;
    let unsent = (run.count(Ending::NotSent) + run.count(Ending::NotConnected)) as f64;
    if due - unsent < SENT_SHARE * due {
        return Some(format!("{unsent} of {due} requests could not be sent"));
    }
    // A Poisson stream has now and then a few less than its mean.
    let chance = 4.0 * wanted.sqrt();
    (due < SENT_SHARE * wanted - chance).then(|| {
        format!("only {:.3} requests/s were due in {} s", due / run.duration_s, run.duration_s)
    })
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (quantile, limit) in &self.percentiles {
            write!(f, "{} <= {} ms, ", percentile_name(*quantile), limit.as_secs_f64() * 1e3)?;
        }
        write!(f, "errors <= {} %", percent(self.max_errors))
    }
}

/// `p99.9`.
pub(super) fn percentile_name(quantile: f64) -> String {
    format!("p{}", percent(quantile))
}

/// 99.9 of 0.999, where the product alone would be 99.90000000000001.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

/// `0.1%`, or the same as a plain number, `0.001`.
pub fn share(text: &str) -> Result<f64, String> {
    let expected = || format!("expected a share such as \"0.1%\" or \"0.001\", got {text:?}");
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().map_err(|_| expected())? / unit;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(expected()) }
}
