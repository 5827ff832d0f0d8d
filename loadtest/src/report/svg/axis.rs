//! From values to pixels, and where the ticks are. Whatever is out of range or no number lands on the edge.

use super::super::words::{count, trimmed};

pub struct Axis {
    /// Where the lowest and the highest value are drawn.
    pixels: (i32, i32),
    range: (f64, f64),
    logarithmic: bool,
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From zero to at least `highest`, ending on a tick.
    pub fn from_zero(highest: f64, pixels: (i32, i32)) -> Self {
        let step = step(highest, 5.0);
        let end = (highest / step).ceil().max(1.0) * step;
        let ticks = (0..=12).map(|n| f64::from(n) * step).take_while(|v| *v <= end * 1.0001);
        let ticks = ticks.map(|value| (value, number(value))).collect();
        Self { pixels, range: (0.0, end), logarithmic: false, ticks }
    }

    /// Exactly this range, with ticks inside it.
    pub fn linear((low, high): (f64, f64), pixels: (i32, i32)) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let step = step(high - low, 8.0);
        let first = (low / step).ceil();
        let values = (0..=20).map(|n| (first + f64::from(n)) * step);
        let ticks = values.take_while(|value| *value <= high * 1.000_001);
        let ticks = ticks.map(|value| (value, number(value))).collect();
        Self { pixels, range: (low, high), logarithmic: false, ticks }
    }

    /// Whole decades, or halves of them (1, 2, 5) where the range is small.
    pub fn logarithmic((low, high): (f64, f64), pixels: (i32, i32)) -> Self {
        let low = if low > 0.0 { low } else { 0.001 };
        let high = high.max(low * 2.0);
        let fine = high / low < 1000.0;
        let factors: &[f64] = if fine { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let all: Vec<f64> = decades
            .flat_map(|decade| factors.iter().map(move |f| f * 10f64.powi(decade)))
            .collect();
        let start = all.iter().copied().rfind(|tick| *tick <= low * 1.0001).unwrap_or(low);
        let end = all.iter().copied().find(|tick| *tick >= high * 0.9999).unwrap_or(high);
        let ticks = all.into_iter().filter(|tick| (start..=end).contains(tick));
        let ticks = ticks.map(|value| (value, number(value))).collect();
        Self { pixels, range: (start, end), logarithmic: true, ticks }
    }

    /// Percentiles as 1 / (1 - p), up to that of one sample in `samples`.
    pub fn percentiles(samples: u64, pixels: (i32, i32)) -> Self {
        let end = (samples as f64).max(100.0);
        let known = [
            (1.0, "0 %"),
            (2.0, "50 %"),
            (10.0, "90 %"),
            (100.0, "99 %"),
            (1e3, "99.9 %"),
            (1e4, "99.99 %"),
            (1e5, "99.999 %"),
            (1e6, "99.9999 %"),
            (1e7, "99.99999 %"),
        ];
        let ticks = known.into_iter().filter(|(value, _)| *value <= end);
        let ticks = ticks.map(|(value, label)| (value, label.to_owned())).collect();
        Self { pixels, range: (1.0, end), logarithmic: true, ticks }
    }

    /// One unit for each; its label stands in its middle. Of very many only some are labelled.
    pub fn categories(labels: impl ExactSizeIterator<Item = String>, pixels: (i32, i32)) -> Self {
        let many = labels.len();
        let every = many.div_ceil(24).max(1);
        let ticks = labels.enumerate().step_by(every);
        let ticks = ticks.map(|(index, label)| (index as f64 + 0.5, label)).collect();
        Self { pixels, range: (0.0, many.max(1) as f64), logarithmic: false, ticks }
    }

    pub fn place(&self, value: f64) -> i32 {
        let scale = |v: f64| if self.logarithmic { v.max(f64::MIN_POSITIVE).log10() } else { v };
        let (low, high) = (scale(self.range.0), scale(self.range.1));
        let part = ((scale(value) - low) / (high - low)).clamp(0.0, 1.0);
        let (from, to) = (f64::from(self.pixels.0), f64::from(self.pixels.1));
        let part = if part.is_nan() { 0.0 } else { part };
        (from + part * (to - from)).round() as i32
    }
}

/// 1, 2 or 5 times a power of ten, for about so many steps.
fn step(range: f64, steps: f64) -> f64 {
    let raw = if range.is_finite() && range > 0.0 { range / steps } else { 0.2 };
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= raw * 0.9999);
    factor.unwrap_or(10.0) * power
}

fn number(value: f64) -> String {
    if value >= 1000.0 { count(value.round() as u64) } else { trimmed(&format!("{value:.4}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_and_cover_the_values() {
        let axis = Axis::from_zero(487.0, (100, 0));
        assert_eq!(labels(&axis), ["0", "100", "200", "300", "400", "500"]);
        assert_eq!((axis.place(0.0), axis.place(500.0), axis.place(250.0)), (100, 0, 50));
    }

    #[test]
    fn a_small_range_has_ticks_within_a_decade_and_a_large_one_has_decades() {
        let fine = Axis::logarithmic((1.4, 36.0), (0, 100));
        assert_eq!(labels(&fine), ["1", "2", "5", "10", "20", "50"]);
        let coarse = Axis::logarithmic((0.14, 3000.0), (0, 100));
        assert_eq!(labels(&coarse), ["0.1", "1", "10", "100", "1,000", "10,000"]);
    }

    #[test]
    fn what_is_no_number_lands_on_the_edge() {
        for axis in [Axis::from_zero(0.0, (0, 100)), Axis::logarithmic((0.0, 0.0), (0, 100))] {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300] {
                assert!((0..=100).contains(&axis.place(value)), "{value}");
            }
        }
        for strange in [f64::NAN, f64::INFINITY, 0.0, -3.0] {
            let _ = Axis::from_zero(strange, (0, 100)).place(1.0);
            let _ = Axis::linear((0.0, strange), (0, 100)).place(1.0);
        }
    }

    #[test]
    fn percentiles_end_at_what_the_samples_can_say() {
        assert_eq!(
            labels(&Axis::percentiles(15_000, (0, 100))),
            ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]
        );
    }
}
