//! What may be concluded from samples: quantiles, how many samples a percentile wants, and intervals.
//!
//! Plain functions of their arguments, and of a seed where chance is used. They say what a number is worth; whether
//! it is good is for others to say.

mod bootstrap;
mod distributions;
mod percentile;

pub use crate::statistics::bootstrap::{Bootstrap, Interval};
pub use crate::statistics::distributions::{student_two_sided, two_sided_normal};
pub use crate::statistics::percentile::{Ranks, mlperf_queries, percentile_ranks};

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

/// The smallest value that is not exceeded by the share `q` of all; NaN of nothing.
pub fn quantile(values: impl IntoIterator<Item = f64>, q: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    of_sorted(&values, q)
}

/// NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn of_sorted(values: &[f64], q: f64) -> f64 {
    // What lies a rounding error above a rank is that rank.
    let rank = (values.len() as f64 * q - 1e-9).ceil().max(1.0) as usize;
    values.get(rank.min(values.len()).saturating_sub(1)).copied().unwrap_or(f64::NAN)
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
        let samples = || (1..=100).rev().map(f64::from);
        for (q, expected) in
            [(0.0, 1.0), (0.005, 1.0), (0.5, 50.0), (0.99, 99.0), (0.07, 7.0), (1.0, 100.0)]
        {
            assert_eq!(quantile(samples(), q), expected, "{q}");
        }
        assert!(quantile([], 0.5).is_nan());
    }
}
