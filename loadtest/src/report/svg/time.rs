//! Second by second: latency and throughput of one load, and the loads of a scenario on their common clock.

use super::super::groups::Group;
use super::super::words::{plain, seconds};
use super::axis::Axis;
use super::canvas::{BLUE, MUTED, SERIES, SKY, Stroke, VERMILLION};
use super::plot::{ACROSS, Frame, Plot, UP};
use crate::figures::{Report, Run, Second};

type Series = Vec<(f64, Option<f64>)>;

/// Logarithmic where a linear axis would press the ordinary against the floor.
pub fn latency_axis(least: f64, most: f64, pixels: (i32, i32)) -> Axis {
    if most > 30.0 * least.max(0.001) {
        Axis::logarithmic((least, most), pixels)
    } else {
        Axis::from_zero(most, pixels)
    }
}

pub fn latency(report: &Report, group: &Group<'_>) -> Option<String> {
    let run = group.first();
    let clock = Clock::of(report);
    let curves: Vec<(Series, _, _, _)> = vec![
        (clock.series(run, |second| second.max_ms), MUTED, Stroke::Thin, "max"),
        (clock.series(run, |second| second.p99_ms), BLUE, Stroke::Bold, "p99"),
        (clock.series(run, |second| second.p50_ms), SKY, Stroke::Bold, "p50"),
    ];
    let frame = Frame {
        title: title("Latency over time", report, group),
        subtitle: format!(
            "milliseconds, {}, by the second in which a request was due",
            basis(group)
        ),
        x_title: clock.title(),
        x: Axis::linear(clock.range(&[run]), ACROSS),
        y: axis_of(curves.iter().map(|(series, ..)| series))?,
        notes: clock.notes(report),
    };
    Some(frame.draw(|plot| {
        clock.moments(report, plot);
        for (series, color, stroke, name) in &curves {
            plot.curve(series, *color, *stroke);
            plot.curve_label(series, *color, *name);
        }
    }))
}

pub fn throughput(report: &Report, group: &Group<'_>) -> Option<String> {
    let run = group.first();
    let clock = Clock::of(report);
    let counted = |figure: fn(&Second) -> u64| clock.series(run, move |s| Some(figure(s) as f64));
    let mut curves = vec![(counted(|second| second.right), BLUE, Stroke::Bold, "right")];
    if group.is_open() {
        curves.insert(0, (counted(|second| second.offered), MUTED, Stroke::Normal, "due"));
    }
    if run.series.iter().any(|second| second.errors > 0) {
        curves.push((counted(|second| second.errors), VERMILLION, Stroke::Normal, "errors"));
    }
    let values = curves.iter().flat_map(|(series, ..)| series.iter().filter_map(|(_, y)| *y));
    let most = values.fold(0.0, f64::max);
    if run.series.is_empty() {
        return None;
    }
    let frame = Frame {
        title: title("Throughput over time", report, group),
        subtitle: "requests per second, by the second in which they were due".to_owned(),
        x_title: clock.title(),
        x: Axis::linear(clock.range(&[run]), ACROSS),
        y: Axis::from_zero(most, UP),
        notes: clock.notes(report),
    };
    Some(frame.draw(|plot| {
        clock.moments(report, plot);
        for (series, color, stroke, name) in &curves {
            plot.curve(series, *color, *stroke);
            plot.curve_label(series, *color, *name);
        }
    }))
}

/// The 99th percentile of every load of a scenario.
pub fn loads(report: &Report) -> Option<String> {
    let runs: Vec<&Run> = report.runs.iter().take(SERIES.len()).collect();
    report.scenario.as_ref().filter(|_| runs.len() > 1)?;
    let clock = Clock::Common;
    let series: Vec<Series> =
        runs.iter().map(|run| clock.series(run, |second| second.p99_ms)).collect();
    let frame = Frame {
        title: "p99 of every load".to_owned(),
        subtitle: "milliseconds, by the second in which a request was due".to_owned(),
        x_title: clock.title(),
        x: Axis::linear(clock.range(&runs), ACROSS),
        y: axis_of(series.iter())?,
        notes: clock.notes(report),
    };
    Some(frame.draw(|plot| {
        clock.moments(report, plot);
        for ((run, series), color) in runs.iter().zip(&series).zip(SERIES) {
            plot.curve(series, color, Stroke::Bold);
            plot.curve_label(series, color, plain(&run.name, 18));
        }
    }))
}

/// Loads of a scenario run beside each other, all others one after the other.
enum Clock {
    Common,
    Own,
}

impl Clock {
    fn of(report: &Report) -> Self {
        if report.scenario.is_some() { Self::Common } else { Self::Own }
    }

    fn begin(&self, run: &Run) -> f64 {
        match self {
            Self::Common => run.start_s + run.warm_up_s,
            Self::Own => 0.0,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Common => "seconds, by the clock of the scenario",
            Self::Own => "seconds after the warm-up",
        }
    }

    /// Each second in its middle.
    fn series(&self, run: &Run, figure: impl Fn(&Second) -> Option<f64>) -> Series {
        let begin = self.begin(run);
        let point = |second: &Second| (begin + f64::from(second.second) + 0.5, figure(second));
        run.series.iter().map(point).collect()
    }

    fn range(&self, runs: &[&Run]) -> (f64, f64) {
        let end = |run: &&Run| self.begin(run) + run.duration_s.max(run.series.len() as f64);
        (0.0, runs.iter().map(end).fold(1.0, f64::max))
    }

    fn notes(&self, report: &Report) -> Vec<String> {
        let actions = report.scenario.iter().flat_map(|scenario| &scenario.actions);
        actions
            .map(|action| {
                let failed = if action.ok { "" } else { " (failed)" };
                format!("at {}: {}{failed}", seconds(action.at_s), plain(&action.what, 90))
            })
            .collect()
    }

    fn moments(&self, report: &Report, plot: &Plot<'_, '_>) {
        let actions = report.scenario.iter().flat_map(|scenario| &scenario.actions);
        for (index, action) in actions.enumerate() {
            plot.moment(action.at_s, index + 1);
        }
    }
}

fn basis(group: &Group<'_>) -> &'static str {
    if group.is_open() { "from the time it was due" } else { "from when it was sent" }
}

fn title(what: &str, report: &Report, group: &Group<'_>) -> String {
    let name = plain(&group.first().name, 50);
    let of = if report.runs.len() == 1 { String::new() } else { format!(": {name}") };
    let which = match group.runs.len() {
        1 => String::new(),
        many => format!(", first of {many} runs"),
    };
    format!("{what}{of}{which}")
}

fn axis_of<'s>(series: impl Iterator<Item = &'s Series>) -> Option<Axis> {
    let values: Vec<f64> = series.flatten().filter_map(|(_, y)| *y).collect();
    let least = values.iter().copied().reduce(f64::min)?;
    let most = values.iter().copied().fold(0.0, f64::max);
    Some(latency_axis(least, most, UP))
}
