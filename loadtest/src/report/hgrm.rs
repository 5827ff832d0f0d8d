//! Percentiles as HdrHistogram prints them (`outputPercentileDistribution`), in milliseconds: its plotter and all that
//! grew around it read this form.

use std::fmt::Write;

use crate::histogram::Recorded;

/// Steps per half of the distance to 100 %: HdrHistogram's own default.
const TICKS: u32 = 5;

pub fn distribution(histogram: &Recorded) -> String {
    let inner = histogram.inner();
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut seen = 0;
    for step in inner.iter_quantiles(TICKS) {
        seen += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / 1e6;
        let quantile = step.quantile_iterated_to();
        let line = if quantile < 1.0 {
            let inverse = 1.0 / (1.0 - quantile);
            writeln!(text, "{value:12.3} {quantile:14.12} {seen:10} {inverse:14.2}")
        } else {
            writeln!(text, "{value:12.3} {quantile:14.12} {seen:10}")
        };
        line.expect("a string takes everything");
    }
    write!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n\
         #[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {:12}]\n",
        histogram.mean_ms(),
        inner.stdev() / 1e6,
        histogram.max_ms(),
        histogram.len(),
        inner.buckets(),
        // Three significant digits take 2,048 of them, whatever the range.
        2048,
    )
    .expect("a string takes everything");
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rows(text: &str) -> Vec<Vec<f64>> {
        let rows = text.lines().skip(2).filter(|line| !line.starts_with('#'));
        rows.map(|row| row.split_whitespace().map(|cell| cell.parse().unwrap()).collect()).collect()
    }

    #[test]
    fn the_curve_rises_from_the_least_to_the_greatest_and_counts_all() {
        let mut histogram = Recorded::default();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let text = distribution(&histogram);
        let rows = rows(&text);
        assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]), "{text}");
        let last = rows.last().unwrap();
        assert_eq!(last.len(), 3, "the last row has no inverse, as HdrHistogram writes it");
        assert_eq!((last[1], last[2]), (1.0, 1000.0));
        assert!((last[0] - 1000.0).abs() < 1.0);
        let half = rows.iter().find(|row| row[1] == 0.5).expect("a row for the median");
        assert!((half[0] - 500.0).abs() < 1.0);
        assert_eq!(half[3], 2.0);
    }

    #[test]
    fn an_empty_histogram_is_an_empty_curve() {
        let text = distribution(&Recorded::default());
        assert!(rows(&text).is_empty());
        assert!(text.contains("Total count    =            0"), "{text}");
    }
}
