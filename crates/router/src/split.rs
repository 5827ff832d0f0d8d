//! Which version a request goes to, when weights decide.
//!
//! The choice is not drawn by lot. The versions' turns are laid out once as a repeating sequence in
//! which every prefix is as close to the shares as whole requests allow: a version with share s has
//! had more than `N*s - 1` and fewer than `N*s + 1` of the first N requests. One atomic counter
//! walks the sequence, so that holds for any number of threads.
//!
//! The sequence is a Pfair schedule (Baruah, Cohen, Plaxton, Varvel: "Proportionate progress", 1996):
//! the j-th turn of a version of share s may not come before `floor((j-1)/s)` and not after
//! `ceil(j/s)`; taking the earliest deadline first among those that may come keeps every such window.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_inference::{Error, Result, Version};

/// A relative share of traffic: 0 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    pub const MAX: u32 = 10_000;

    /// # Errors
    /// Above [`Weight::MAX`].
    pub fn new(weight: u32) -> Result<Self> {
        if weight > Self::MAX {
            return Err(Error::invalid(format!(
                "weight {weight}: expected an integer from 0 to {}",
                Self::MAX
            )));
        }
        Ok(Self(weight))
    }

    pub fn get(self) -> u32 {
        self.0
    }
}

pub struct TrafficSplit {
    /// Indices into `versions`, one for each turn.
    turns: Box<[u16]>,
    versions: Vec<Version>,
    next: AtomicU64,
}

impl TrafficSplit {
    /// Versions of weight zero get nothing.
    ///
    /// # Errors
    /// When all weights are zero: such a split would have nowhere to send a request.
    pub fn new(weights: &BTreeMap<Version, Weight>) -> Result<Self> {
        let (versions, shares): (Vec<Version>, Vec<u64>) = weights
            .iter()
            .filter(|(_, weight)| weight.0 > 0)
            .map(|(version, weight)| (*version, u64::from(weight.0)))
            .unzip();
        if versions.is_empty() {
            return Err(Error::invalid("weights: expected at least one above 0, got none"));
        }
        if versions.len() > usize::from(u16::MAX) {
            return Err(Error::invalid("weights: more versions than a split can have"));
        }
        let common = shares.iter().copied().fold(0, gcd);
        let shares: Vec<u64> = shares.iter().map(|share| share / common).collect();
        Ok(Self { turns: lay_out(&shares), versions, next: AtomicU64::new(0) })
    }

    /// The version of the next request.
    pub fn pick(&self) -> Version {
        // Relaxed: the counter orders nothing but itself.
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.turns.len() as u64;
        self.versions[usize::from(self.turns[turn as usize])]
    }
}

impl fmt::Debug for TrafficSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficSplit")
            .field("versions", &self.versions)
            .field("period", &self.turns.len())
            .finish_non_exhaustive()
    }
}

/// One period of turns for shares without a common divisor.
fn lay_out(shares: &[u64]) -> Box<[u16]> {
    let period: u64 = shares.iter().sum();
    let mut had = vec![0_u64; shares.len()];
    (0..period)
        .map(|now| {
            let turn = (0..shares.len())
                .filter(|&i| had[i] * period / shares[i] <= now)
                .min_by_key(|&i| ((had[i] + 1) * period).div_ceil(shares[i]))
                .expect("the shares fill the period, so some version's turn has come");
            had[turn] += 1;
            turn as u16
        })
        .collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64) -> Version {
        Version::new(number).unwrap()
    }

    fn split(weights: &[u32]) -> TrafficSplit {
        let weights = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| (version(index as u64 + 1), Weight::new(*weight).unwrap()))
            .collect();
        TrafficSplit::new(&weights).unwrap()
    }

    /// `|had - n * weight / total| < 1`, in whole numbers.
    #[track_caller]
    fn assert_fair(weights: &[u32], had: &[u64], n: u64) {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        for (weight, had) in weights.iter().zip(had) {
            let off = (had * total).abs_diff(n * u64::from(*weight));
            assert!(off < total, "{weights:?} after {n}: {had}");
        }
    }

    #[test]
    fn after_any_number_of_requests_no_version_is_a_whole_request_off_its_share() {
        let cases: &[&[u32]] = &[
            &[90, 10],
            &[1, 1],
            &[9999, 1],
            &[10_000, 0, 3],
            &[33, 33, 34],
            &[1, 2, 3, 4, 5, 6, 7],
            &[997, 991, 13, 1, 1, 1],
            &[50, 25, 12, 6, 3, 2, 1, 1],
        ];
        for weights in cases {
            let split = split(weights);
            let mut had = vec![0; weights.len()];
            for n in 1..=3 * split.turns.len() as u64 {
                had[split.pick().get() as usize - 1] += 1;
                assert_fair(weights, &had, n);
            }
        }
    }

    #[test]
    fn the_shares_hold_for_many_threads_at_once() {
        let weights = [90, 7, 3];
        let split = split(&weights);
        let per_thread = 12_347;
        let counts: Vec<[u64; 3]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut had = [0; 3];
                        for _ in 0..per_thread {
                            had[split.pick().get() as usize - 1] += 1;
                        }
                        had
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let had: Vec<u64> =
            (0..3).map(|version| counts.iter().map(|had| had[version]).sum()).collect();
        assert_fair(&weights, &had, 4 * per_thread);
    }

    #[test]
    fn zero_weight_version_gets_no_traffic() {
        let split = split(&[0, 5, 0]);
        assert!((0..100).all(|_| split.pick() == version(2)));
    }

    #[test]
    fn a_split_that_sums_to_zero_cannot_be_built() {
        let weights = BTreeMap::from([(version(1), Weight::new(0).unwrap())]);
        assert!(TrafficSplit::new(&weights).is_err());
        assert!(TrafficSplit::new(&BTreeMap::new()).is_err());
        assert!(Weight::new(10_001).is_err());
    }
}
