//! The open loops as plots: latency by percentile, for each model.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tidegate_loadtest::figures::Run;
use tidegate_loadtest::report::{report, svg};

use super::measure::Case;
use crate::Result;

/// Writes them beside the Markdown, and answers with what the Markdown says of them.
pub fn write(cases: &[Case], started: SystemTime, markdown: &Path) -> Result<String> {
    let mut shown = String::new();
    for case in cases {
        let Some(svg) = percentiles(case, started) else { continue };
        let path = beside(markdown, &case.model, case.wire);
        std::fs::write(&path, svg).map_err(|error| format!("{}: {error}", path.display()))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let (model, wire) = (&case.model, case.wire);
        shown += &format!("![Latency of {model} {wire} by percentile, open loop]({file})\n\n");
    }
    Ok(shown)
}

fn percentiles(case: &Case, started: SystemTime) -> Option<String> {
    let runs: Vec<Run> = case
        .open
        .iter()
        .flat_map(|arm| arm.gateway.iter().map(|run| (arm.share, run)))
        .map(|(share, run)| Run { name: format!("{:.0} %", share * 100.0), ..run.clone() })
        .collect();
    let figures = svg::figures(&report(Vec::new(), started, 0, runs));
    let plot = figures.into_iter().find(|figure| figure.name == "latency-percentiles")?;
    let titled =
        format!("{} {}: latency by percentile, at shares of its capacity", case.model, case.wire);
    Some(plot.svg.replace("Latency by percentile", &titled))
}

/// `docs/benchmarks.md`, `tiny 1` and `JSON` give `docs/benchmarks-tiny-1-json.svg`.
fn beside(markdown: &Path, model: &str, wire: &str) -> PathBuf {
    let stem = markdown.file_stem().unwrap_or_default().to_string_lossy();
    let case = format!("{model} {wire}").to_lowercase().replace(' ', "-");
    markdown.with_file_name(format!("{stem}-{case}.svg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_lies_beside_its_page() {
        let path = beside(Path::new("docs/benchmarks.md"), "tiny 1", "JSON");
        assert_eq!(path, Path::new("docs/benchmarks-tiny-1-json.svg"));
    }
}
