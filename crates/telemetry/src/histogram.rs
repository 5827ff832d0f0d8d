//! A histogram of fixed bounds that many threads fill without a lock: one atomic addition to a bucket and
//! one to the sum.
//!
//! `prometheus-client` has a histogram, but behind a mutex that every worker and every connection would
//! share. Ours counts in whole units (nanoseconds, rows), so that sums are exact. The count is not kept:
//! it is the sum of the buckets, and so always agrees with them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
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

/// Powers of two: batch sizes are chosen and thought of in them. As far as TensorFlow Serving's go.
const COUNTS: [u64; 14] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// TensorFlow Serving's bounds for requests, up to 24 minutes, and for its queue, up to a second.
static REQUEST_MICROS: LazyLock<Vec<u64>> = LazyLock::new(|| exponential_micros(10.0, 1.8, 33));
static QUEUE_MICROS: LazyLock<Vec<u64>> = LazyLock::new(|| exponential_micros(100.0, 1.2, 52));

/// In nanoseconds, from `first` microseconds on; to six digits, as TensorFlow Serving prints them.
fn exponential_micros(first: f64, growth: f64, count: i32) -> Vec<u64> {
    let bound = |step| {
        let digits = format!("{:.5e}", first * growth.powi(step));
        let micros: f64 = digits.parse().expect("a float is read as it was written");
        (micros * 1e3).round() as u64
    };
    (0..count).map(bound).collect()
}

/// Triton's, for the first response; all of them are in [`SECONDS`].
const MILLISECONDS: [u64; 4] = [100_000_000, 500_000_000, 2_000_000_000, 5_000_000_000];

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

    /// With TensorFlow Serving's bounds for requests.
    pub fn of_request_micros() -> Self {
        Self::new(&REQUEST_MICROS, 1e3)
    }

    /// With TensorFlow Serving's bounds for its queue.
    pub fn of_queue_micros() -> Self {
        Self::new(&QUEUE_MICROS, 1e3)
    }

    /// With Triton's bounds for the first response.
    pub fn of_milliseconds() -> Self {
        Self::new(&MILLISECONDS, 1e6)
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

    /// Adds all of another's observations. Exact if its bounds are among the other's.
    pub fn absorb(&self, other: &Self) {
        let cells = &*self.0;
        let values = other.0.bounds.iter().copied().chain([u64::MAX]);
        for (bound, bucket) in values.zip(&other.0.buckets) {
            let own = cells.bounds.partition_point(|own| *own < bound);
            cells.buckets[own].fetch_add(bucket.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        cells.sum.fetch_add(other.sum(), Ordering::Relaxed);
    }

    /// Shows what another has observed by now, in coarser buckets. For a scrape: two at the same time show one of
    /// two states that were true a moment ago.
    pub fn follow(&self, finer: &Self) {
        let fresh = Self::new(self.0.bounds, self.0.scale);
        fresh.absorb(finer);
        for (bucket, now) in self.0.buckets.iter().zip(&fresh.0.buckets) {
            bucket.fetch_max(now.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.0.sum.fetch_max(fresh.sum(), Ordering::Relaxed);
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
        assert_eq!(counts(&histogram), [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn bounds_are_those_that_tensorflow_serving_prints() {
        let micros = |bounds: &[u64]| -> Vec<f64> {
            bounds.iter().map(|bound| *bound as f64 / 1e3).collect()
        };
        let requests = micros(&REQUEST_MICROS);
        assert_eq!(requests[..7], [10.0, 18.0, 32.4, 58.32, 104.976, 188.957, 340.122]);
        assert_eq!((requests.len(), requests[32]), (33, 1.474_76e9));
        let queue = micros(&QUEUE_MICROS);
        assert_eq!((queue.len(), &queue[..3]), (52, &[100.0, 120.0, 144.0][..]));
    }

    #[test]
    fn a_coarser_histogram_follows_a_finer_one_exactly() {
        let (finer, coarser) = (Histogram::of_seconds(), Histogram::of_milliseconds());
        for millis in [100, 101, 500, 501, 2000, 5000, 5001] {
            finer.observe_duration(Duration::from_millis(millis));
        }
        for _ in 0..2 {
            coarser.follow(&finer);
            assert_eq!(counts(&coarser), [1, 2, 2, 1, 1]);
            assert_eq!(coarser.sum(), finer.sum());
        }
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
