//! Durations in a histogram of three significant digits, from a microsecond's thousandth to an hour.
//!
//! hdrhistogram does the work. This file only fixes unit (nanoseconds), precision and range, and writes it as text:
//! HdrHistogram's own V2 form, compressed and in base64, which its tools for other languages read too.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

const HIGHEST: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

const COARSE_LOWEST: u64 = 1_000;
const COARSE_DIGITS: u8 = 2;

#[derive(Clone)]
pub struct Recorded(Histogram<u64>);

impl Recorded {
    /// What does not fit is recorded at the end of the range: no sample is lost.
    pub fn record(&mut self, value: Duration) {
        let nanoseconds = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanoseconds.clamp(1, HIGHEST));
    }

    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same range");
    }

    /// Forgets all samples and keeps the memory.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    pub fn len(&self) -> u64 {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of 0 to 1. In an empty histogram all is 0.
    pub fn ms(&self, quantile: f64) -> f64 {
        in_ms(self.0.value_at_quantile(quantile))
    }

    pub fn min_ms(&self) -> f64 {
        in_ms(self.0.min())
    }

    pub fn max_ms(&self) -> f64 {
        in_ms(self.0.max())
    }

    pub fn mean_ms(&self) -> f64 {
        self.0.mean() / 1e6
    }

    /// How many samples are at most so long.
    pub fn count_within(&self, limit: Duration) -> u64 {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX).min(HIGHEST);
        self.0.count_between(0, limit)
    }

    /// For what needs every bucket, such as curves.
    pub fn inner(&self) -> &Histogram<u64> {
        &self.0
    }
}

impl Default for Recorded {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, HIGHEST, DIGITS).expect("the bounds are in order"))
    }
}

/// Two digits, small enough that every second of a long run keeps one.
#[derive(Clone)]
pub struct Coarse(Histogram<u32>);

impl Coarse {
    pub fn record(&mut self, value: Duration) {
        let nanoseconds = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanoseconds.clamp(COARSE_LOWEST, HIGHEST));
    }

    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same range");
    }

    /// None in an empty histogram.
    pub fn ms(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| in_ms(self.0.value_at_quantile(quantile)))
    }

    pub fn max_ms(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| in_ms(self.0.max()))
    }
}

impl Default for Coarse {
    fn default() -> Self {
        Self(
            Histogram::new_with_bounds(COARSE_LOWEST, HIGHEST, COARSE_DIGITS)
                .expect("the bounds are in order"),
        )
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples up to {} ms", self.len(), self.max_ms())
    }
}

impl Serialize for Recorded {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.0, &mut bytes)
            .map_err(|error| serde::ser::Error::custom(format!("histogram: {error:?}")))?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Recorded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| D::Error::custom(format!("histogram: not base64: {error}")))?;
        let read: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| {
                D::Error::custom(format!("histogram: not HdrHistogram's V2 form: {error:?}"))
            })?;
        let mut histogram = Self::default();
        histogram
            .0
            .add(&read)
            .map_err(|_| D::Error::custom("histogram: a value is above an hour"))?;
        Ok(histogram)
    }
}

fn in_ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_its_text() {
        let mut histogram = Recorded::default();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let text = serde_json::to_string(&histogram).unwrap();
        let read: Recorded = serde_json::from_str(&text).unwrap();
        assert_eq!(read.len(), 1000);
        assert_eq!(read.ms(0.99), histogram.ms(0.99));
        assert!((read.ms(0.5) - 500.0).abs() < 1.0);
    }

    #[test]
    fn text_that_is_no_histogram_is_an_error() {
        for text in ["\"!\"", "\"AAAA\"", "3"] {
            assert!(serde_json::from_str::<Recorded>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_recorded_at_its_end() {
        let mut histogram = Recorded::default();
        histogram.record(Duration::ZERO);
        histogram.record(Duration::from_secs(100_000));
        assert_eq!(histogram.len(), 2);
        assert!(histogram.max_ms() >= 3_600_000.0);
    }
}
