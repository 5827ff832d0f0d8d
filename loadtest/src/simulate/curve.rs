//! What a run of so many rows takes in the simulated world: the truth, which the batcher under test has to learn.
//!
//! Between two points the line is straight; past the last one it goes on in proportion to the rows. It is drawn here
//! once more, and not with the batcher's own curve, so that a mistake there shows as one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// Never empty; rows and times are above zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCurve(BTreeMap<usize, Duration>);

impl ServiceCurve {
    /// # Errors
    /// When there are no points, or one of no rows or no time.
    pub fn new(points: impl IntoIterator<Item = (usize, Duration)>) -> Result<Self, Failure> {
        let points: BTreeMap<usize, Duration> = points.into_iter().collect();
        if points.is_empty() {
            return Err("a curve needs at least one point, such as 1=9.8ms".into());
        }
        match points.iter().find(|(rows, time)| **rows == 0 || time.is_zero()) {
            Some((rows, time)) => Err(format!(
                "a curve's points have rows and a time above zero, got {rows}={time:?}"
            )
            .into()),
            None => Ok(Self(points)),
        }
    }

    /// From a JSON object, `{"1": "9.8ms", "8": "14ms"}`, or from the report of an earlier simulation, whose `curve` is one.
    ///
    /// # Errors
    /// When the file cannot be read, or is neither.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Report { curve: BTreeMap<String, String> },
            Points(BTreeMap<String, String>),
        }
        let within = |failure: Failure| failure.within(file.display());
        let text = std::fs::read_to_string(file).map_err(|error| within(error.into()))?;
        let written: Written = serde_json::from_str(&text).map_err(|_| {
            within(r#"expected an object of rows and times, such as {"1": "9.8ms"}"#.into())
        })?;
        let (Written::Report { curve } | Written::Points(curve)) = written;
        let read = |(rows, text): (String, String)| {
            let wrong = || {
                format!(
                    "expected rows and a time, such as \"1\": \"9.8ms\", got \"{rows}\": \"{text}\""
                )
            };
            let point = rows.parse().ok().zip(time(&text));
            point.ok_or_else(|| within(wrong().into()))
        };
        let points: Vec<_> = curve.into_iter().map(read).collect::<Result<_, _>>()?;
        Self::new(points).map_err(within)
    }

    pub fn points(&self) -> impl Iterator<Item = (usize, Duration)> + '_ {
        self.0.iter().map(|(rows, time)| (*rows, *time))
    }

    pub fn at(&self, rows: usize) -> Duration {
        let above = self.0.range(rows..).next();
        let below = self.0.range(..rows).next_back();
        match (below, above) {
            (_, Some((size, time))) if *size == rows => *time,
            (Some((low, low_time)), Some((high, high_time))) => {
                let share = (rows - low) as f64 / (high - low) as f64;
                let (from, to) = (low_time.as_secs_f64(), high_time.as_secs_f64());
                Duration::from_secs_f64((from + share * (to - from)).max(0.0))
            }
            (Some((last, time)), None) => time.mul_f64(rows as f64 / *last as f64),
            (None, first) => first.map_or(Duration::ZERO, |(_, time)| *time),
        }
    }

    /// Rows per second of one instance that runs the best of the batches up to this one, back to back.
    pub fn capacity(&self, max_rows: usize) -> f64 {
        let rate = |rows: usize| rows as f64 / self.at(rows).as_secs_f64();
        let sizes = self.0.keys().copied().filter(|rows| *rows < max_rows).chain([max_rows]);
        sizes.map(rate).fold(0.0, f64::max)
    }
}

impl FromStr for ServiceCurve {
    type Err = Failure;

    /// `1=9.8ms,8=14ms`, or a file.
    fn from_str(text: &str) -> Result<Self, Failure> {
        if !text.contains('=') {
            return Self::read(Path::new(text));
        }
        let point = |part: &str| {
            let (rows, text) = part.split_once('=')?;
            Some((rows.trim().parse().ok()?, time(text.trim())?))
        };
        let points: Option<Vec<_>> = text.split(',').map(point).collect();
        let wrong =
            || format!("expected ROWS=TIME,ROWS=TIME, such as 1=9.8ms,8=14ms, got '{text}'");
        Self::new(points.ok_or_else(wrong)?)
    }
}

/// Unlike a duration of the configuration it may have a fraction. An hour at most.
fn time(text: &str) -> Option<Duration> {
    let of = |unit: &str, seconds: f64| {
        let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
        Some(number * seconds).filter(|seconds| (0.0..=3600.0).contains(seconds))
    };
    let seconds = of("us", 1e-6).or_else(|| of("ms", 1e-3)).or_else(|| of("s", 1.0))?;
    Some(Duration::from_secs_f64(seconds))
}

impl Serialize for ServiceCurve {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(rows, time)| (rows.to_string(), shown(*time))))
    }
}

impl fmt::Display for ServiceCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (rows, time)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{rows}={}", shown(*time))?;
        }
        Ok(())
    }
}

fn shown(time: Duration) -> String {
    format!("{}us", time.as_nanos() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(text: &str) -> ServiceCurve {
        text.parse().unwrap()
    }

    #[test]
    fn a_curve_reads_as_it_is_written() {
        let heavy = curve("1=9.8ms,8=13.9ms,64=43500us");
        assert_eq!(curve(&heavy.to_string()), heavy);
        assert_eq!(curve("1=9.25us").at(1), Duration::from_nanos(9250));
    }

    #[test]
    fn between_two_points_the_line_is_straight_and_past_the_last_in_proportion() {
        let curve = curve("2=4ms,4=6ms");
        assert_eq!([1, 2, 3, 4, 8].map(|rows| curve.at(rows).as_millis()), [4, 4, 5, 6, 12]);
    }

    #[test]
    fn the_capacity_is_that_of_the_best_batch_that_the_cap_allows() {
        let curve = curve("1=10ms,8=20ms,16=80ms");
        assert_eq!([1, 8, 16].map(|cap| curve.capacity(cap).round()), [100.0, 400.0, 400.0]);
    }

    #[test]
    fn what_is_no_curve_is_refused_with_what_was_expected() {
        for text in ["1=", "=1ms", "1=9", "0=1ms", "1=0ms", "a=1ms", "1=1ms,", "1=-1ms", "1=NaNms"]
        {
            assert!(text.parse::<ServiceCurve>().is_err(), "{text}");
        }
        let missing = "/nowhere/at/all.json".parse::<ServiceCurve>().unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/at/all.json: "), "{missing}");
    }

    #[test]
    fn a_file_holds_points_or_an_earlier_report() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("curve.json");
        for text in
            [r#"{"1": "10ms", "8": "20ms"}"#, r#"{"curve": {"1": "10ms", "8": "20ms"}, "seed": 1}"#]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!(ServiceCurve::read(&file).unwrap(), curve("1=10ms,8=20ms"), "{text}");
        }
        std::fs::write(&file, "[1]").unwrap();
        assert!(ServiceCurve::read(&file).unwrap_err().to_string().contains("expected an object"));
    }
}
