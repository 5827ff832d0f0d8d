//! A histogram of fixed bounds that many threads fill without a lock: one atomic addition to a bucket and
//! one to the sum.
//!
//! `prometheus-client` has a histogram, but behind a mutex that every worker and every connection would
//! share. Ours counts in whole units (nanoseconds, rows), so that sums are exact. The count is not kept:
//! it is the sum of the buckets, and so always agrees with them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// 1-2-5 steps from 10 microseconds to 50 seconds, in nanoseconds: a round limit such as 50 ms is a
/// bound, so the share of requests inside it can be read off exactly.
const SECONDS: [u64; 21] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
    50_000_000_000,
];

/// Powers of two: batch sizes are chosen and thought of in them.
const COUNTS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

#[derive(Clone)]
pub struct Histogram(Arc<Cells>);

struct Cells {
    bounds: &'static [u64],
    /// Counted units in one reported unit.
    scale: f64,
    /// One more than there are bounds: the last has none.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    pub fn of_seconds() -> Self {
        Self::new(&SECONDS, 1e9)
    }

    pub fn of_counts() -> Self {
        Self::new(&COUNTS, 1.0)
    }

    fn new(bounds: &'static [u64], scale: f64) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Cells { bounds, scale, buckets, sum: AtomicU64::new(0) }))
    }

    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn observe_count(&self, count: usize) {
        self.observe(count as u64);
    }

    /// Of all that was observed, in counted units: nanoseconds, for a histogram of durations.
    pub fn sum(&self) -> u64 {
        self.0.sum.load(Ordering::Relaxed)
    }

    fn observe(&self, value: u64) {
        let cells = &*self.0;
        let bucket = cells.bounds.partition_point(|bound| *bound < value);
        cells.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        // Wraps after 584 years of waiting, all requests together; readers take that for a restart.
        cells.sum.fetch_add(value, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let cells = &*self.0;
        let bounds = cells.bounds.iter().map(|bound| *bound as f64 / cells.scale);
        let buckets: Vec<(f64, u64)> = bounds
            .chain([f64::INFINITY])
            .zip(cells.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum() as f64 / cells.scale;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Histogram").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn a_value_on_a_bound_belongs_to_it() {
        let histogram = Histogram::of_counts();
        for value in [0, 1, 2, 3, 1024, 1025] {
            histogram.observe_count(value);
        }
        assert_eq!(counts(&histogram), [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn an_endless_duration_is_counted_like_any_other() {
        let histogram = Histogram::of_seconds();
        histogram.observe_duration(Duration::MAX);
        assert_eq!(counts(&histogram).last(), Some(&1));
    }

    #[test]
    fn no_observation_is_lost_between_threads() {
        let histogram = Histogram::of_counts();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|value| histogram.observe_count(value)));
            }
        });
        assert_eq!(counts(&histogram).iter().sum::<u64>(), 4000);
        assert_eq!(histogram.sum(), 4 * 499_500);
    }
}
