//! What a percentile of n samples is worth. Both ways take the samples for independent, which requests that met in one queue
//! are not quite: the answer is a lower bound for one's doubt.

use crate::statistics::distributions::two_sided_normal;

/// Positions, from 1, among samples in ascending order. None where there are too few samples for a bound on that side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    pub low: Option<u64>,
    pub high: Option<u64>,
}

/// How many queries MLPerf Inference wants before it believes a percentile at 99 % confidence (its rules, "Early Stopping" and
/// "Number of queries"): the margin is a twentieth of the rest above it, and the count a multiple of 2^13.
/// 270,336 for 0.99; no number is enough for 1.
pub fn mlperf_queries(percentile: f64) -> u64 {
    const UNIT: f64 = 8192.0;
    if percentile >= 1.0 {
        return u64::MAX;
    }
    let margin = (1.0 - percentile) / 20.0;
    let z = two_sided_normal(0.99);
    let queries = z * z * percentile * (1.0 - percentile) / (margin * margin);
    ((queries / UNIT).ceil().max(1.0) * UNIT) as u64
}

/// Between which of `n` samples the true percentile lies with at least this confidence, whatever their distribution (order
/// statistics: how many samples lie below it is binomial).
pub fn percentile_ranks(n: u64, percentile: f64, confidence: f64) -> Ranks {
    let percentile = percentile.clamp(0.0, 1.0);
    let tail = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
    let (below_low, below_high) = binomial_bounds(n, percentile, tail);
    Ranks {
        low: (below_low >= 1).then_some(below_low),
        high: (below_high < n).then(|| below_high + 1),
    }
}

/// The largest k with P(B < k) <= tail and the smallest k with P(B > k) <= tail, B being binomial.
fn binomial_bounds(n: u64, p: f64, tail: f64) -> (u64, u64) {
    let mean = n as f64 * p;
    let deviation = (mean * (1.0 - p)).sqrt();
    // Here the normal distribution is right to a rank, and the sum would be long.
    if deviation > 2000.0 {
        let reach = two_sided_normal(1.0 - 2.0 * tail) * deviation + 1.0;
        return ((mean - reach).max(0.0) as u64, ((mean + reach) as u64).min(n));
    }
    // Weights relative to the most likely count; ten deviations hold all that matters, and a little more where p is extreme.
    let reach = (10.0 * deviation + 40.0) as u64;
    let mode = (((n as f64 + 1.0) * p) as u64).min(n);
    let (first, last) = (mode.saturating_sub(reach), mode.saturating_add(reach).min(n));
    let odds = p / (1.0 - p);
    let up = |k: u64| (n - k) as f64 / (k + 1) as f64 * odds;
    let mut weights = vec![1.0; (last - first + 1) as usize];
    for k in mode..last {
        weights[(k + 1 - first) as usize] = weights[(k - first) as usize] * up(k);
    }
    for k in (first..mode).rev() {
        weights[(k - first) as usize] = weights[(k + 1 - first) as usize] / up(k);
    }
    let limit = tail * weights.iter().sum::<f64>();
    let within = |weights: &mut dyn Iterator<Item = &f64>| {
        let mut sum = 0.0;
        weights
            .take_while(|weight| {
                sum += **weight;
                sum <= limit
            })
            .count() as u64
    };
    let low = first + within(&mut weights.iter());
    let high = last - within(&mut weights.iter().rev());
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mlperf_counts_are_those_of_its_rules() {
        assert_eq!(mlperf_queries(0.9), 24_576);
        assert_eq!(mlperf_queries(0.95), 57_344);
        assert_eq!(mlperf_queries(0.99), 270_336);
        assert_eq!(mlperf_queries(1.0), u64::MAX);
    }

    #[test]
    fn ranks_of_a_median_are_those_of_the_tables() {
        // Conover, Practical Nonparametric Statistics: binomial tables for p = 0.5.
        let ranks = |n| percentile_ranks(n, 0.5, 0.95);
        assert_eq!(ranks(10), Ranks { low: Some(2), high: Some(9) });
        assert_eq!(ranks(6), Ranks { low: Some(1), high: Some(6) });
        assert_eq!(ranks(5), Ranks { low: None, high: None });
    }

    #[test]
    fn few_samples_have_no_upper_bound_for_a_high_percentile() {
        let ranks = percentile_ranks(100, 0.99, 0.99);
        assert_eq!(ranks.high, None);
        assert!(ranks.low.is_some());
        assert_eq!(percentile_ranks(0, 0.5, 0.95), Ranks { low: None, high: None });
        // 0.99^528 is the first below 0.005.
        assert_eq!(percentile_ranks(527, 0.99, 0.99).high, None);
        assert_eq!(percentile_ranks(528, 0.99, 0.99).high, Some(528));
    }

    #[test]
    fn ranks_hold_the_percentile_about_as_often_as_they_say() {
        // Of how many of 2000 rounds of uniform samples does the true percentile lie between the ranks?
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        for (n, p) in [(1000, 0.99), (200, 0.9), (50, 0.5)] {
            let Ranks { low: Some(low), high: Some(high) } = percentile_ranks(n, p, 0.95) else {
                panic!("{n} samples should do for {p}");
            };
            let held = (0..2000).filter(|_| {
                let below = (0..n).filter(|_| random.random::<f64>() < p).count() as u64;
                (low..high).contains(&below)
            });
            let share = held.count() as f64 / 2000.0;
            assert!((0.945..0.99).contains(&share), "{n}, {p}: {share}");
        }
    }

    #[test]
    fn exact_and_normal_bounds_agree_where_they_meet() {
        let exact = percentile_ranks(15_900_000, 0.5, 0.99);
        let normal = percentile_ranks(16_100_000, 0.5, 0.99);
        let width = |ranks: Ranks| (ranks.high.unwrap() - ranks.low.unwrap()) as f64;
        assert!((width(normal) / width(exact) - (16.1_f64 / 15.9).sqrt()).abs() < 1e-3);
    }

    #[test]
    fn no_count_is_too_large_and_no_percentile_too_odd() {
        for n in [0, 1, 2, 1000, u64::MAX] {
            for p in [-1.0, 0.0, 1e-12, 0.5, 0.999_999_999, 1.0, 2.0] {
                for confidence in [-1.0, 0.0, 0.95, 1.0] {
                    let ranks = percentile_ranks(n, p, confidence);
                    if let Ranks { low: Some(low), high: Some(high) } = ranks {
                        assert!(low <= high && high <= n, "{n}, {p}, {confidence}: {ranks:?}");
                    }
                }
            }
        }
    }
}
