//! Latency against the rate that was offered: where the curve turns up, the server is full.

use super::super::groups::Group;
use super::super::words::{chosen_ms, plain};
use super::axis::Axis;
use super::canvas::{SERIES, Stroke};
use super::plot::{ACROSS, Frame, UP};
use crate::figures::{Report, Run};

struct Curve {
    name: String,
    points: Vec<Point>,
}

/// One rate; medians over its runs.
struct Point {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Valid, and within the objective where there was one.
    good: bool,
}

type Figure = fn(&Point) -> f64;

/// Only where one load ran at several rates.
pub fn plot(report: &Report) -> Option<String> {
    let curves = curves(report);
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let fastest = all().map(|point| point.rate).reduce(f64::max)?;
    let limit = slo(report);
    let least = all().map(|point| point.p50).fold(f64::INFINITY, f64::min);
    let most = all().map(|point| point.p99).fold(limit.unwrap_or(0.0), f64::max);
    let frame = Frame {
        title: "Latency by offered rate".to_owned(),
        subtitle: "milliseconds; thick: p99, thin: p50; ring: objective not met, or run invalid"
            .to_owned(),
        x_title: "requests due per second",
        x: Axis::from_zero(fastest * 1.02, ACROSS),
        y: super::time::latency_axis(least, most, UP),
        notes: Vec::new(),
    };
    Some(frame.draw(|plot| {
        for (curve, color) in curves.iter().zip(SERIES) {
            let figures = [
                ((|point| point.p50) as Figure, Stroke::Thin, "p50"),
                (|point| point.p99, Stroke::Bold, "p99"),
            ];
            for (figure, stroke, kind) in figures {
                let points: Vec<_> =
                    curve.points.iter().map(|point| (point.rate, Some(figure(point)))).collect();
                plot.curve(&points, color, stroke);
                for point in &curve.points {
                    plot.mark(point.rate, figure(point), color, point.good);
                }
                let name = if curves.len() > 1 {
                    format!("{} {kind}", curve.name)
                } else {
                    kind.to_owned()
                };
                plot.curve_label(&points, color, name);
            }
        }
        if let Some(limit) = limit {
            plot.limit(limit, &format!("SLO {}", chosen_ms(limit)));
        }
    }))
}

fn curves(report: &Report) -> Vec<Curve> {
    let mut curves: Vec<(&Run, Curve)> = Vec::new();
    for group in Group::all(report) {
        let run = group.first();
        let Some(point) = point(report, &group) else { continue };
        match curves.iter_mut().find(|(of, _)| of.name == run.name && of.target == run.target) {
            Some((_, curve)) => curve.points.push(point),
            None => {
                curves.push((run, Curve { name: plain(&run.name, 14), points: vec![point] }));
            }
        }
    }
    let mut curves: Vec<Curve> = curves.into_iter().map(|(_, curve)| curve).collect();
    for curve in &mut curves {
        curve.points.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    }
    let several = |curve: &Curve| curve.points.windows(2).any(|pair| pair[0].rate < pair[1].rate);
    curves.retain(several);
    curves.truncate(SERIES.len());
    curves
}

fn point(report: &Report, group: &Group<'_>) -> Option<Point> {
    let rate = group.first().arrivals.offered_rate?;
    let answered = group.runs.iter().any(|run| run.best_latency().samples > 0);
    let trials = report.search.iter().flat_map(|search| &search.trials);
    let mut missed = trials.filter(|trial| trial.rate == rate && !trial.passed);
    let valid = group.runs.iter().all(|run| run.validity.valid);
    answered.then(|| Point {
        rate,
        p50: group.spread(|run| run.best_latency().p50_ms).median,
        p99: group.spread(|run| run.best_latency().p99_ms).median,
        good: valid && missed.next().is_none(),
    })
}

/// Where all runs had the same.
fn slo(report: &Report) -> Option<f64> {
    let mut slos = report.runs.iter().map(|run| run.goodput.as_ref().map(|goodput| goodput.slo_ms));
    let first = slos.next()??;
    slos.all(|slo| slo == Some(first)).then_some(first)
}
