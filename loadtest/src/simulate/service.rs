//! How long one run takes: the curve, the noise around it, and neighbours that take the core away for a while.
//!
//! A run that meets a neighbour half way is slowed down from there on, and no earlier.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tidegate_configuration::parse_duration;

use super::curve::ServiceCurve;
use crate::Failure;
use crate::histogram::Recorded;

#[derive(Clone, Debug)]
pub struct Service {
    pub curve: ServiceCurve,
    pub noise: Noise,
    pub neighbours: Vec<Neighbour>,
}

/// Factors around the curve.
#[derive(Clone, Debug, Default)]
pub enum Noise {
    #[default]
    None,
    /// Of mean 1, with this coefficient of variation.
    Lognormal(f64),
    /// One of those that were recorded, each as likely as the others.
    Recorded(Arc<[f64]>),
}

/// From one instant to another, from the start, everything takes so many times as long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    pub from: Duration,
    pub to: Duration,
    pub factor: f64,
}

impl Service {
    /// Of a run that begins at `at`, from the start.
    pub fn time(&self, rows: usize, at: Duration, random: &mut ChaCha8Rng) -> Duration {
        let work = self.curve.at(rows).mul_f64(self.noise.draw(random));
        self.stretched(work, at)
    }

    fn stretched(&self, mut work: Duration, start: Duration) -> Duration {
        let mut now = start;
        loop {
            let here = |neighbour: &&Neighbour| (neighbour.from..neighbour.to).contains(&now);
            let factor: f64 = self.neighbours.iter().filter(here).map(|n| n.factor).product();
            let edges = self.neighbours.iter().flat_map(|n| [n.from, n.to]);
            let until_change = edges.filter(|edge| *edge > now).min().map(|edge| edge - now);
            match until_change {
                Some(rest) if work.mul_f64(factor) > rest => {
                    work = work.saturating_sub(rest.div_f64(factor));
                    now += rest;
                }
                _ => return now + work.mul_f64(factor) - start,
            }
        }
    }
}

impl Noise {
    fn draw(&self, random: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Lognormal(variation) => {
                let variance = (1.0 + variation * variation).ln();
                (normal(random) * variance.sqrt() - variance / 2.0).exp()
            }
            Self::Recorded(factors) => factors[random.random_range(0..factors.len())],
        }
    }

    /// How the runs of a measurement lie around their median, as a thousand equally likely factors.
    pub fn of_runs(times: &Recorded) -> Self {
        const FACTORS: usize = 1000;
        let median = times.ms(0.5);
        if median <= 0.0 {
            return Self::None;
        }
        let factor = |index: usize| times.ms((index as f64 + 0.5) / FACTORS as f64) / median;
        Self::Recorded((0..FACTORS).map(factor).collect())
    }

    fn read(text: &str) -> Result<Self, Failure> {
        let factor = |line: &str| {
            line.trim().parse::<f64>().ok().filter(|factor| (1e-3..=1e3).contains(factor))
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let factors: Option<Vec<f64>> = lines.map(factor).collect();
        match factors.filter(|factors| !factors.is_empty()) {
            Some(factors) => Ok(Self::Recorded(factors.into())),
            None => Err("expected one factor a line, from 0.001 to 1000".into()),
        }
    }
}

/// Of the standard normal distribution, by Marsaglia's polar method.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    loop {
        let (x, y) = (random.random_range(-1.0..1.0_f64), random.random_range(-1.0..1.0_f64));
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * square.ln() / square).sqrt();
        }
    }
}

impl FromStr for Noise {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        if text == "none" {
            return Ok(Self::None);
        }
        if let Some(variation) = text.strip_prefix("lognormal:") {
            let variation = variation.parse::<f64>().ok().filter(|v| (0.0..=10.0).contains(v));
            let wrong = || format!("expected lognormal:VARIATION from 0 to 10, got '{text}'");
            return Ok(Self::Lognormal(variation.ok_or_else(wrong)?));
        }
        let read = std::fs::read_to_string(text).map_err(Failure::from);
        read.and_then(|text| Self::read(&text)).map_err(|failure| failure.within(text))
    }
}

impl FromStr for Neighbour {
    type Err = Failure;

    /// `10s..20s`, or `10s..20s@3` for another factor than two.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(format!(
                "expected FROM..TO or FROM..TO@FACTOR, such as 10s..20s@2, got '{text}'"
            ))
        };
        let (times, factor) = text.split_once('@').unwrap_or((text, "2"));
        let (from, to) = times.split_once("..").ok_or_else(wrong)?;
        let time = |text: &str| parse_duration(text).map_err(|_| wrong());
        let factor = factor.parse::<f64>().ok().filter(|factor| (0.01..=1000.0).contains(factor));
        let neighbour =
            Self { from: time(from)?, to: time(to)?, factor: factor.ok_or_else(wrong)? };
        if neighbour.from < neighbour.to { Ok(neighbour) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn service(noise: &str, neighbours: &[&str]) -> Service {
        Service {
            curve: "1=10ms".parse().unwrap(),
            noise: noise.parse().unwrap(),
            neighbours: neighbours.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_neighbour_slows_down_what_it_meets_and_nothing_else() {
        let service = service("none", &["100ms..200ms", "150ms..160ms@5"]);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut time = |at| service.time(1, at * MS, &mut random).as_micros();
        assert_eq!([time(0), time(90), time(100), time(200)], [10_000, 10_000, 20_000, 10_000]);
        // Half of it before the neighbour came, half beside it.
        assert_eq!([time(95), time(195)], [15_000, 12_500]);
        // 10 ms of wall time at a tenth of the pace do 1 ms; the rest goes at half of it.
        assert_eq!(time(150), 10_000 + 18_000);
    }

    #[test]
    fn noise_has_the_mean_and_the_variation_that_it_was_given() {
        let service = service("lognormal:0.3", &[]);
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let times: Vec<f64> = (0..100_000)
            .map(|_| service.time(1, Duration::ZERO, &mut random).as_secs_f64() * 100.0)
            .collect();
        let mean = crate::statistics::mean(&times);
        let squares: Vec<f64> = times.iter().map(|time| (time - mean).powi(2)).collect();
        let deviation = crate::statistics::mean(&squares).sqrt();
        assert!(
            (mean - 1.0).abs() < 0.005 && (deviation - 0.3).abs() < 0.005,
            "{mean} {deviation}"
        );
    }

    #[test]
    fn recorded_runs_are_drawn_as_often_as_they_occurred() {
        let mut times = Recorded::default();
        for run in 0..100 {
            times.record(MS * if run % 10 == 0 { 20 } else { 10 });
        }
        let noise = Noise::of_runs(&times);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let slow = (0..10_000).filter(|_| noise.draw(&mut random) > 1.5).count();
        assert!((900..1100).contains(&slow), "{slow}");
    }

    #[test]
    fn what_is_no_noise_and_no_neighbour_is_refused() {
        for text in ["lognormal:", "lognormal:-1", "lognormal:NaN", "/nowhere/at/all"] {
            assert!(text.parse::<Noise>().is_err(), "{text}");
        }
        assert!(Noise::read("1\nx\n").is_err() && Noise::read("\n").is_err());
        for text in ["", "1s", "2s..1s", "1s..1s", "1s..2s@0", "1s..2s@inf", "1..2"] {
            assert!(text.parse::<Neighbour>().is_err(), "{text}");
        }
    }
}
