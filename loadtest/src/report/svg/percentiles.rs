//! Latency by percentile, corrected and uncorrected: the plot that shows what an average hides.

use std::time::Duration;

use super::super::groups::Group;
use super::super::words::plain;
use super::axis::Axis;
use super::canvas::{SERIES, Stroke};
use super::plot::{ACROSS, Frame, UP};
use crate::figures::{Latency, Report, Run};
use crate::histogram::Recorded;

/// Steps per half of the distance to 100 %.
const STEPS: u32 = 20;

struct Load {
    name: String,
    corrected: Option<Recorded>,
    uncorrected: Recorded,
}

pub fn plot(report: &Report) -> Option<String> {
    let loads = loads(report);
    let all = || loads.iter().flat_map(|load| load.corrected.iter().chain([&load.uncorrected]));
    let samples = all().map(Recorded::len).max().filter(|samples| *samples > 0)?;
    let filled = || all().filter(|histogram| !histogram.is_empty());
    let least = filled().map(Recorded::min_ms).fold(f64::INFINITY, f64::min);
    let most = filled().map(Recorded::max_ms).fold(0.0, f64::max);
    let frame = Frame {
        title: "Latency by percentile".to_owned(),
        subtitle: subtitle(&loads).to_owned(),
        x_title: "of the right answers were at least so fast",
        x: Axis::percentiles(samples, ACROSS),
        y: super::time::latency_axis(least, most, UP),
        notes: Vec::new(),
    };
    Some(frame.draw(|plot| {
        for (load, color) in loads.iter().zip(SERIES) {
            let sent = curve(&load.uncorrected);
            let Some(due) = load.corrected.as_ref().map(curve) else {
                plot.curve(&sent, color, Stroke::Bold);
                plot.curve_label(&sent, color, &load.name);
                continue;
            };
            plot.curve(&sent, color, Stroke::Thin);
            plot.curve(&due, color, Stroke::Bold);
            if loads.len() == 1 {
                plot.curve_label(&sent, color, "uncorrected");
                plot.curve_label(&due, color, "corrected");
            } else {
                plot.curve_label(&due, color, &load.name);
            }
        }
    }))
}

/// Repeats are one curve: their samples together. Of a search only the rates nearest to its answer are drawn.
fn loads(report: &Report) -> Vec<Load> {
    let mut groups = Group::all(report);
    let rated = |group: &Group<'_>| group.first().arrivals.offered_rate.unwrap_or(0.0);
    let search = report.search.as_ref();
    if let Some(found) = search.and_then(|search| search.rate.or(Some(search.trials.last()?.rate)))
    {
        let far = |group: &Group<'_>| (rated(group) - found).abs();
        groups.sort_by(|a, b| far(a).total_cmp(&far(b)));
        groups.truncate(3);
        groups.sort_by(|a, b| rated(a).total_cmp(&rated(b)));
    }
    groups.truncate(SERIES.len());
    let name = |group: &Group<'_>| match search {
        Some(_) => format!("{}/s", super::super::words::rate(rated(group))),
        None => plain(&group.first().name, 16),
    };
    let load = |group: &Group<'_>| Load {
        name: name(group),
        corrected: group.is_open().then(|| together(group, Run::best_latency)),
        uncorrected: together(group, |run| &run.latency_uncorrected),
    };
    groups.iter().map(load).collect()
}

fn together(group: &Group<'_>, of: fn(&Run) -> &Latency) -> Recorded {
    let mut all = Recorded::default();
    group.runs.iter().for_each(|run| all.add(&of(run).histogram));
    all
}

fn curve(histogram: &Recorded) -> Vec<(f64, Option<f64>)> {
    let samples = histogram.len() as f64;
    let steps = histogram.inner().iter_quantiles(STEPS);
    // The last sample stands where one of so many stands: there is no more to say.
    let inverse = |quantile: f64| (1.0 / (1.0 - quantile)).min(samples);
    let point = |quantile, nanoseconds: u64| {
        let ms = Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3;
        (inverse(quantile), Some(ms))
    };
    steps.map(|step| point(step.quantile_iterated_to(), step.value_iterated_to())).collect()
}

fn subtitle(loads: &[Load]) -> &'static str {
    if loads.iter().all(|load| load.corrected.is_none()) {
        "milliseconds; closed loop: a slow server slows its callers down, so this says nothing about a given rate"
    } else {
        "milliseconds; thick: corrected, from the time a request was due; thin: uncorrected, from when it was sent"
    }
}
