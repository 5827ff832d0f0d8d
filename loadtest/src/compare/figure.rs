//! The figures that are compared, and which way each of them is better.

use crate::figures::{Latency, Run, Second};
use crate::statistics::{mean, median};

pub(super) struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    pub better: Better,
    pub scale: Scale,
    pub of_run: fn(&Run, Clock) -> Option<f64>,
    /// The same of one second, where there is such a thing, and how seconds are put together.
    pub of_seconds: Option<Seconds>,
}

pub(super) struct Seconds {
    pub of: fn(&Second) -> Option<f64>,
    pub together: fn(&[f64]) -> f64,
    /// How it is told.
    pub wording: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

/// How two values are set against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Ratio,
    /// For what is often 0.
    Difference,
}

/// From when latencies count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// The intended send time.
    Corrected,
    /// The time it was sent: in a closed loop there is no other.
    Uncorrected,
}

const MEDIAN_SECOND: &str = "of the median second";
const MEAN_SECOND: &str = "of the mean second";

pub(super) const FIGURES: [Figure; 8] = [
    Figure {
        name: "throughput",
        unit: "/s",
        better: Better::Higher,
        scale: Scale::Ratio,
        of_run: |run, _| Some(run.throughput),
        of_seconds: Some(Seconds {
            of: |second| Some(second.right as f64),
            together: mean,
            wording: MEAN_SECOND,
        }),
    },
    Figure {
        name: "goodput",
        unit: "/s",
        better: Better::Higher,
        scale: Scale::Ratio,
        of_run: |run, _| Some(run.goodput.as_ref()?.rate),
        of_seconds: None,
    },
    Figure {
        name: "p50",
        unit: "ms",
        better: Better::Lower,
        scale: Scale::Ratio,
        of_run: |run, clock| Some(latency(run, clock)?.p50_ms),
        of_seconds: Some(Seconds {
            of: |second| second.p50_ms,
            together: of_median,
            wording: MEDIAN_SECOND,
        }),
    },
    Figure {
        name: "p90",
        unit: "ms",
        better: Better::Lower,
        scale: Scale::Ratio,
        of_run: |run, clock| Some(latency(run, clock)?.p90_ms),
        of_seconds: None,
    },
    Figure {
        name: "p99",
        unit: "ms",
        better: Better::Lower,
        scale: Scale::Ratio,
        of_run: |run, clock| Some(latency(run, clock)?.p99_ms),
        of_seconds: Some(Seconds {
            of: |second| second.p99_ms,
            together: of_median,
            wording: MEDIAN_SECOND,
        }),
    },
    Figure {
        name: "p99.9",
        unit: "ms",
        better: Better::Lower,
        scale: Scale::Ratio,
        of_run: |run, clock| Some(latency(run, clock)?.p999_ms),
        of_seconds: None,
    },
    Figure {
        name: "errors",
        unit: "%",
        better: Better::Lower,
        scale: Scale::Difference,
        of_run: |run, _| (run.requests > 0).then(|| per_cent(run.errors(), run.requests)),
        of_seconds: Some(Seconds {
            of: |second| (second.offered > 0).then(|| per_cent(second.errors, second.offered)),
            together: mean,
            wording: MEAN_SECOND,
        }),
    },
    Figure {
        name: "CPU per request",
        unit: "us",
        better: Better::Lower,
        scale: Scale::Ratio,
        of_run: |run, _| run.server.cpu_us_per_request,
        of_seconds: None,
    },
];

fn latency(run: &Run, clock: Clock) -> Option<&Latency> {
    let latency = match clock {
        Clock::Corrected => run.latency.as_ref()?,
        Clock::Uncorrected => &run.latency_uncorrected,
    };
    (latency.samples > 0).then_some(latency)
}

fn per_cent(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64 * 100.0
}

fn of_median(values: &[f64]) -> f64 {
    median(values.iter().copied())
}
