//! The plots, as SVG that needs nothing else. What has no data has no plot.

mod axis;
mod batches;
mod canvas;
mod percentiles;
mod plot;
mod saturation;
mod time;

use plotters::prelude::RGBColor;

use super::groups::{Group, shown};
use super::stem;
use crate::figures::Report;

/// Loads that get plots of their own; the figures of more are in the table.
const LOADS: usize = 12;

pub struct Figure {
    /// Name of its file, without `.svg`.
    pub name: String,
    /// Which of the report's runs it is about; none where it is about all.
    pub run: Option<usize>,
    pub svg: String,
}

/// Every plot of the report, those about all runs first.
pub fn figures(report: &Report) -> Vec<Figure> {
    let whole = [
        ("saturation", saturation::plot(report)),
        ("latency-percentiles", percentiles::plot(report)),
        ("latency-over-time", time::loads(report)),
    ];
    let whole = whole
        .into_iter()
        .filter_map(|(name, svg)| Some(Figure { name: name.to_owned(), run: None, svg: svg? }));
    let single = shown(report).into_iter().take(LOADS).flat_map(|group| of_load(report, &group));
    whole.chain(single).collect()
}

/// CSS that turns the colours of the plots in a page whose reader wants it dark.
pub fn dark_style() -> String {
    let rule = |(light, dark): &(RGBColor, &str)| {
        let light = format!("#{:02X}{:02X}{:02X}", light.0, light.1, light.2);
        format!(
            ".plot [fill=\"{light}\"] {{ fill: {dark}; }}\n\
             .plot [stroke=\"{light}\"] {{ stroke: {dark}; }}\n"
        )
    };
    let rules: String = canvas::DARK.iter().map(rule).collect();
    format!("@media (prefers-color-scheme: dark) {{\n{rules}}}\n")
}

fn of_load(report: &Report, group: &Group<'_>) -> Vec<Figure> {
    let stem = stem(group.index, group.first());
    let plots = [
        ("latency", time::latency(report, group)),
        ("throughput", time::throughput(report, group)),
        ("batches", batches::plot(group)),
    ];
    let figure = |(kind, svg): (&str, Option<String>)| {
        Some(Figure { name: format!("{stem}-{kind}"), run: Some(group.index), svg: svg? })
    };
    plots.into_iter().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn names(report: &Report) -> Vec<String> {
        figures(report).into_iter().map(|figure| figure.name).collect()
    }

    #[test]
    fn each_kind_of_report_has_the_plots_that_it_has_data_for() {
        let one = [
            "latency-percentiles",
            "01-digits-latency",
            "01-digits-throughput",
            "01-digits-batches",
        ];
        assert_eq!(names(&sample::single()), one);
        assert_eq!(names(&sample::closed()), one);
        let search = names(&sample::search());
        assert_eq!(search[..2], ["saturation", "latency-percentiles"]);
        assert!(names(&sample::scenario(true)).contains(&"latency-over-time".to_owned()));
    }

    #[test]
    fn plots_stay_inside_their_paper_and_escape_what_comes_from_outside() {
        for report in [sample::single(), sample::search(), sample::hostile(), sample::empty()] {
            for figure in figures(&report) {
                let svg = &figure.svg;
                assert!(svg.starts_with("<svg width=\"900\" height=\""), "{}", figure.name);
                assert!(svg.ends_with("</svg>\n"), "{}", figure.name);
                assert!(!svg.contains("<script") && !svg.contains("NaN"), "{}", figure.name);
                assert!(!svg.chars().any(|c| c.is_control() && c != '\n'), "{}", figure.name);
                for (x, y) in corners(svg) {
                    assert!((0..=1800).contains(&x) && (0..=2000).contains(&y), "{}", figure.name);
                }
            }
        }
    }

    fn corners(svg: &str) -> Vec<(i32, i32)> {
        let lists = svg.split("points=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let pairs = lists.flat_map(str::split_whitespace).filter_map(|pair| pair.split_once(','));
        pairs.map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).collect()
    }
}
