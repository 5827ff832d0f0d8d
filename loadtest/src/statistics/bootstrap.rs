//! How far a figure would move if its samples were drawn again: percentile bootstrap, seeded.
//!
//! Resampling few values gives intervals that are too narrow. They are widened as Hesterberg does ("What Teachers Should
//! Know About the Bootstrap", 2015, section 5.3: expanded percentile interval): the tails are those that Student's
//! distribution and the lost degree of freedom ask for. Below about five values no widening helps, because the interval
//! cannot leave the range of what was seen; callers ask for at least that many.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::statistics::distributions::{normal_below, student_two_sided};
use crate::statistics::of_sorted;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// That the interval holds the truth, 0 to 1.
    pub confidence: f64,
    pub resamples: usize,
    pub seed: u64,
}

type Statistic<'a> = &'a dyn Fn(&[f64]) -> f64;

impl Bootstrap {
    /// Of a statistic of one sample, such as the mean of paired differences. None of fewer than two values.
    pub fn one(&self, values: &[f64], statistic: Statistic) -> Option<Interval> {
        self.blocks(&[values], 1, |drawn| statistic(&drawn[0]))
    }

    /// Of the difference of a statistic, second minus first, of two samples that have nothing to do with each other.
    pub fn difference(
        &self,
        first: &[f64],
        second: &[f64],
        statistic: Statistic,
    ) -> Option<Interval> {
        self.blocks(&[first, second], 1, |drawn| statistic(&drawn[1]) - statistic(&drawn[0]))
    }

    /// The same of two series in time, whose neighbours are alike: whole blocks of them are drawn, so that what was alike
    /// stays together (circular block bootstrap, Politis and Romano 1992; blocks of about the cube root of the length).
    pub fn difference_of_series(
        &self,
        first: &[f64],
        second: &[f64],
        statistic: Statistic,
    ) -> Option<Interval> {
        let block = (first.len().min(second.len()) as f64).cbrt().round().max(1.0) as usize;
        self.blocks(&[first, second], block, |drawn| statistic(&drawn[1]) - statistic(&drawn[0]))
    }

    fn blocks(
        &self,
        samples: &[&[f64]],
        block: usize,
        statistic: impl Fn(&[Vec<f64>]) -> f64,
    ) -> Option<Interval> {
        // What is independent are the blocks. Of two samples the smaller one decides, on the side of caution.
        let pieces = samples.iter().map(|sample| sample.len() / block).min()?;
        if pieces < 2 {
            return None;
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut drawn: Vec<Vec<f64>> = samples.iter().map(|sample| sample.to_vec()).collect();
        let mut found: Vec<f64> = (0..self.resamples)
            .map(|_| {
                for (sample, drawn) in samples.iter().zip(&mut drawn) {
                    draw(sample, block, drawn, &mut random);
                }
                statistic(&drawn)
            })
            .collect();
        found.sort_by(f64::total_cmp);
        let tail = self.tail(pieces);
        Some(Interval { low: of_sorted(&found, tail), high: of_sorted(&found, 1.0 - tail) })
    }

    /// The share to cut off on each side.
    fn tail(&self, pieces: usize) -> f64 {
        let n = pieces as f64;
        normal_below(-student_two_sided(self.confidence, pieces - 1) * (n / (n - 1.0)).sqrt())
    }
}

fn draw(sample: &[f64], block: usize, drawn: &mut [f64], random: &mut ChaCha8Rng) {
    for piece in drawn.chunks_mut(block) {
        let start = random.random_range(0..sample.len());
        for (offset, slot) in piece.iter_mut().enumerate() {
            *slot = sample[(start + offset) % sample.len()];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{mean, median};

    fn bootstrap(seed: u64) -> Bootstrap {
        Bootstrap { confidence: 0.95, resamples: 600, seed }
    }

    /// Nearly normal, mean 0, deviation 1.
    fn noise(random: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
    }

    /// In how many of 200 rounds the interval holds the truth.
    fn coverage(round: impl Fn(&mut ChaCha8Rng, Bootstrap) -> (Interval, f64)) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let held = (0..200).filter(|seed| {
            let (interval, truth) = round(&mut random, bootstrap(*seed));
            (interval.low..=interval.high).contains(&truth)
        });
        held.count() as f64 / 200.0
    }

    #[test]
    fn an_interval_holds_the_truth_about_as_often_as_it_says() {
        for n in [5, 8, 20] {
            let share = coverage(|random, bootstrap| {
                let values: Vec<f64> = (0..n).map(|_| 3.0 + noise(random)).collect();
                (bootstrap.one(&values, &mean).unwrap(), 3.0)
            });
            assert!((0.9..0.99).contains(&share), "{n}: {share}");
        }
    }

    #[test]
    fn a_difference_of_two_samples_is_held_too() {
        let share = coverage(|random, bootstrap| {
            let a: Vec<f64> = (0..6).map(|_| noise(random)).collect();
            let b: Vec<f64> = (0..9).map(|_| 2.0 + noise(random)).collect();
            (bootstrap.difference(&a, &b, &mean).unwrap(), 2.0)
        });
        assert!(share >= 0.9, "{share}");
    }

    #[test]
    fn blocks_keep_the_interval_honest_where_neighbours_are_alike() {
        let series = |random: &mut ChaCha8Rng| -> Vec<f64> {
            let mut last = 0.0;
            let mut next = || {
                last = 0.5 * last + noise(random);
                last
            };
            (0..60).map(|_| next()).collect()
        };
        let with_blocks = coverage(|random, bootstrap| {
            let (a, b) = (series(random), series(random));
            (bootstrap.difference_of_series(&a, &b, &mean).unwrap(), 0.0)
        });
        let without = coverage(|random, bootstrap| {
            let (a, b) = (series(random), series(random));
            (bootstrap.difference(&a, &b, &mean).unwrap(), 0.0)
        });
        assert!(with_blocks >= 0.88, "{with_blocks}");
        assert!(without < with_blocks - 0.05, "{without}, {with_blocks}");
    }

    #[test]
    fn one_seed_gives_one_interval() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        let of = |seed| bootstrap(seed).one(&values, &|drawn| median(drawn.iter().copied()));
        assert_eq!(of(1), of(1));
        assert_eq!(bootstrap(1).one(&[1.0], &mean), None);
        assert_eq!(bootstrap(1).one(&[2.0; 4], &mean), Some(Interval { low: 2.0, high: 2.0 }));
    }
}
