//! One figure of A against the same of B.

use std::fmt;

use serde::Serialize;

use crate::compare::LoadComparison;
use crate::compare::figure::{Better, Clock, FIGURES, Figure, Scale, Seconds};
use crate::compare::sides::{REPEATS, Sides};
use crate::figures::Run;
use crate::statistics::{Bootstrap, Interval, mean};

/// Ratios nearer to 1 than this are below what a histogram of three digits tells apart.
const SAME: f64 = 0.002;
/// Seconds keep their percentiles with two digits.
const SAME_SECONDS: f64 = 0.02;
/// In points of per cent.
const SAME_SHARE: f64 = 0.001;
/// Fewer seconds than these on a side say nothing.
const FEWEST_SECONDS: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    pub figure: String,
    pub unit: String,
    /// Geometric mean of the repeats; of shares the mean. With few repeats, that of the seconds.
    pub a: f64,
    pub b: f64,
    /// `ratio`: B / A; `difference`: B - A, in the figure's unit.
    pub scale: String,
    pub change: f64,
    /// At 95 %.
    pub interval: Option<Span>,
    pub verdict: Verdict,
    /// What it stands on: `5 pairs`, `5 and 7 runs`, `seconds of 1 and 1 runs`.
    pub basis: String,
    /// The verdict as a sentence.
    pub words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Span {
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    BIsBetter,
    BIsWorse,
    /// No difference beyond noise.
    Noise,
    /// And why not.
    CannotTell(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BIsBetter => f.write_str("B is better"),
            Self::BIsWorse => f.write_str("B is worse"),
            Self::Noise => f.write_str("no difference beyond noise"),
            Self::CannotTell(why) => write!(f, "cannot tell: {why}"),
        }
    }
}

/// What was measured of a figure, on the scale on which differences are taken.
struct Measured {
    /// Of ratios the logarithms.
    a: f64,
    b: f64,
    interval: Option<Interval>,
    basis: String,
    /// Changes up to this are none, whatever the interval says.
    same: f64,
}

pub(super) fn load(sides: &Sides<'_>, bootstrap: &Bootstrap) -> LoadComparison {
    let corrected = sides.a.iter().chain(&sides.b).all(|run| run.latency.is_some());
    let clock = if corrected { Clock::Corrected } else { Clock::Uncorrected };
    let figures = FIGURES.iter().filter_map(|figure| compared(figure, sides, clock, bootstrap));
    LoadComparison {
        name: sides.name.clone(),
        a: sides.label_a.clone(),
        b: sides.label_b.clone(),
        runs_a: sides.a.len(),
        runs_b: sides.b.len(),
        paired: sides.paired().is_some(),
        figures: figures.collect(),
    }
}

/// None of a figure that not all runs have.
fn compared(
    figure: &Figure,
    sides: &Sides<'_>,
    clock: Clock,
    bootstrap: &Bootstrap,
) -> Option<Compared> {
    let of = |runs: &[&Run]| -> Option<Vec<f64>> {
        runs.iter().map(|run| (figure.of_run)(run, clock).map(|value| figure.onto(value))).collect()
    };
    let (a, b) = (of(&sides.a)?, of(&sides.b)?);
    let measured = if let Some(pairs) = sides.paired() {
        paired(figure, &pairs, clock, bootstrap)
    } else if a.len() >= REPEATS && b.len() >= REPEATS {
        Measured {
            interval: bootstrap.difference(&a, &b, &mean),
            basis: format!("{} and {} runs", a.len(), b.len()),
            same: figure.same(SAME),
            a: mean(&a),
            b: mean(&b),
        }
    } else {
        let by_seconds =
            figure.of_seconds.as_ref().and_then(|of| seconds(figure, of, sides, bootstrap));
        by_seconds.unwrap_or_else(|| Measured {
            interval: None,
            basis: format!("{} and {} runs", a.len(), b.len()),
            same: figure.same(SAME),
            a: mean(&a),
            b: mean(&b),
        })
    };
    Some(figure.told(&measured))
}

fn paired(
    figure: &Figure,
    pairs: &[(&Run, &Run)],
    clock: Clock,
    bootstrap: &Bootstrap,
) -> Measured {
    let of = |run: &Run| (figure.of_run)(run, clock).map_or(f64::NAN, |value| figure.onto(value));
    let a: Vec<f64> = pairs.iter().map(|(a, _)| of(a)).collect();
    let b: Vec<f64> = pairs.iter().map(|(_, b)| of(b)).collect();
    let changes: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
    Measured {
        a: mean(&a),
        b: mean(&b),
        interval: bootstrap.one(&changes, &mean),
        basis: format!("{} pairs", pairs.len()),
        same: figure.same(SAME),
    }
}

/// The weaker way: it sees how much a run differs from second to second, and not how much runs differ.
fn seconds(
    figure: &Figure,
    seconds: &Seconds,
    sides: &Sides<'_>,
    bootstrap: &Bootstrap,
) -> Option<Measured> {
    let series = |runs: &[&Run]| -> Vec<f64> {
        let whole = |run: &&Run| -> Vec<f64> {
            let whole = run
                .series
                .iter()
                .filter(|second| f64::from(second.second) + 1.0 <= run.duration_s + 0.01);
            whole.filter_map(seconds.of).collect()
        };
        runs.iter().flat_map(whole).collect()
    };
    let (a, b) = (series(&sides.a), series(&sides.b));
    if a.len().min(b.len()) < FEWEST_SECONDS {
        return None;
    }
    let together = |values: &[f64]| figure.onto((seconds.together)(values));
    Some(Measured {
        a: together(&a),
        b: together(&b),
        interval: bootstrap.difference_of_series(&a, &b, &together),
        basis: format!(
            "seconds of {} and {} runs ({})",
            sides.a.len(),
            sides.b.len(),
            seconds.wording
        ),
        same: figure.same(SAME_SECONDS),
    })
}

impl Figure {
    fn onto(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Ratio => value.ln(),
            Scale::Difference => value,
        }
    }

    fn back(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Ratio => value.exp(),
            Scale::Difference => value,
        }
    }

    fn same(&self, ratio: f64) -> f64 {
        match self.scale {
            Scale::Ratio => ratio.ln_1p(),
            Scale::Difference => SAME_SHARE,
        }
    }

    fn told(&self, measured: &Measured) -> Compared {
        let change = measured.b - measured.a;
        // A rate or latency of 0 has no logarithm, and no ratio.
        let interval =
            measured.interval.filter(|span| span.low.is_finite() && span.high.is_finite());
        let verdict = self.verdict(change, interval, measured);
        let span =
            interval.map(|span| Span { low: self.back(span.low), high: self.back(span.high) });
        let change = if change.is_finite() { self.back(change) } else { 0.0 };
        Compared {
            figure: self.name.to_owned(),
            unit: self.unit.to_owned(),
            a: self.back(measured.a),
            b: self.back(measured.b),
            scale: if self.scale == Scale::Ratio { "ratio" } else { "difference" }.to_owned(),
            change,
            interval: span,
            words: self.sentence(change, span, &verdict),
            verdict,
            basis: measured.basis.clone(),
        }
    }

    fn verdict(&self, change: f64, interval: Option<Interval>, measured: &Measured) -> Verdict {
        let Some(Interval { low, high }) = interval.filter(|_| change.is_finite()) else {
            return Verdict::CannotTell(self.why_not(measured));
        };
        if (low <= 0.0 && high >= 0.0) || change.abs() <= measured.same {
            return Verdict::Noise;
        }
        if (change > 0.0) == (self.better == Better::Higher) {
            Verdict::BIsBetter
        } else {
            Verdict::BIsWorse
        }
    }

    fn why_not(&self, measured: &Measured) -> String {
        if !(measured.a.is_finite() && measured.b.is_finite()) {
            return "a value is 0".to_owned();
        }
        format!("too few runs ({}); {REPEATS} on each side tell", measured.basis)
    }

    fn sentence(&self, change: f64, span: Option<Span>, verdict: &Verdict) -> String {
        let name = self.name;
        let Some(Span { low, high }) = span else {
            return format!("{verdict} ({name})");
        };
        match self.scale {
            Scale::Ratio => format!("{verdict}: {name} {change:.3} x ({low:.3} .. {high:.3})"),
            Scale::Difference => {
                format!("{verdict}: {name} {change:+.3} points ({low:+.3} .. {high:+.3})")
            }
        }
    }
}
