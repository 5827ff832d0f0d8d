//! Medians and quantiles. Of a handful of rounds the median is taken, which one disturbed round does
//! not move; of latencies, quantiles over the samples of all rounds together.

use std::time::Duration;

/// The middle value, or the mean of the two middle ones; NaN of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Durations in order.
pub struct Sorted(Vec<Duration>);

impl Sorted {
    pub fn new(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that is not exceeded by the share `q` of all; zero of nothing.
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = (self.0.len() as f64 * q).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_quantile_is_a_sample_that_was_taken() {
        let samples = Sorted::new((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(samples.quantile(0.5), Duration::from_millis(50));
        assert_eq!(samples.quantile(0.99), Duration::from_millis(99));
        assert_eq!(samples.quantile(1.0), Duration::from_millis(100));
        assert_eq!(Sorted::new(Vec::new()).quantile(0.5), Duration::ZERO);
    }
}
