//! Which requests are not let near others: those that made the model fail, twice.
//!
//! A request is known by its *fingerprint*, a hash of its inputs. Nothing is hashed while nobody is
//! under suspicion, so an ordinary day costs nothing.

use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use tidegate_inference::{Tensor, TensorData};

/// Failures alone after which a fingerprint is kept apart, and for how long after the last.
const FAILURES: u32 = 2;
const APART: Duration = Duration::from_secs(30);

/// Fingerprints remembered; the one that failed longest ago makes room.
const REMEMBERED: usize = 64;

/// Equal for requests with equal inputs. Unequal ones are equal by accident once in 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(inputs: &[Tensor]) -> Self {
        static SEED: OnceLock<RandomState> = OnceLock::new();
        let mut hasher = SEED.get_or_init(RandomState::default).build_hasher();
        for tensor in inputs {
            for dim in tensor.shape().iter() {
                hasher.write_usize(*dim);
            }
            match tensor.data() {
                TensorData::Fixed(bytes) => hasher.write(bytes),
                TensorData::Strings(strings) => {
                    for string in strings {
                        hasher.write_usize(string.len());
                        hasher.write(string);
                    }
                }
            }
        }
        Self(hasher.finish())
    }
}

#[derive(Debug, Default)]
pub struct Quarantine(Vec<Suspect>);

#[derive(Debug)]
struct Suspect {
    fingerprint: Fingerprint,
    failures: u32,
    last: Instant,
}

impl Quarantine {
    /// The request failed with nobody beside it.
    pub fn failed_alone(&mut self, fingerprint: Fingerprint, now: Instant) {
        self.forget_old(now);
        if let Some(known) = self.0.iter_mut().find(|known| known.fingerprint == fingerprint) {
            known.failures += 1;
            known.last = now;
            return;
        }
        if self.0.len() == REMEMBERED {
            let oldest = self.0.iter().enumerate().min_by_key(|(_, known)| known.last);
            let oldest = oldest.map_or(0, |(index, _)| index);
            self.0.swap_remove(oldest);
        }
        self.0.push(Suspect { fingerprint, failures: 1, last: now });
    }

    /// Whether a fingerprint has to be taken at all.
    pub fn is_in_force(&mut self, now: Instant) -> bool {
        if !self.0.is_empty() {
            self.forget_old(now);
        }
        self.0.iter().any(|known| known.failures >= FAILURES)
    }

    pub fn holds(&self, fingerprint: Fingerprint) -> bool {
        self.0.iter().any(|known| known.fingerprint == fingerprint && known.failures >= FAILURES)
    }

    fn forget_old(&mut self, now: Instant) {
        self.0.retain(|known| now.saturating_duration_since(known.last) < APART);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_failures_keep_a_request_apart_and_half_a_minute_without_another_lets_it_back() {
        let start = Instant::now();
        let mut quarantine = Quarantine::default();
        quarantine.failed_alone(Fingerprint(1), start);
        assert!(!quarantine.is_in_force(start));
        quarantine.failed_alone(Fingerprint(1), start + APART / 2);
        assert!(quarantine.is_in_force(start + APART / 2));
        assert!(quarantine.holds(Fingerprint(1)) && !quarantine.holds(Fingerprint(2)));
        assert!(!quarantine.is_in_force(start + APART / 2 + APART));
    }

    #[test]
    fn a_flood_of_culprits_is_remembered_up_to_a_bound_and_the_oldest_is_forgotten() {
        let start = Instant::now();
        let mut quarantine = Quarantine::default();
        for number in 0..1000_u64 {
            let now = start + Duration::from_micros(number);
            quarantine.failed_alone(Fingerprint(number), now);
            quarantine.failed_alone(Fingerprint(number), now);
        }
        assert_eq!(quarantine.0.len(), REMEMBERED);
        assert!(quarantine.holds(Fingerprint(999)) && !quarantine.holds(Fingerprint(0)));
    }
}
