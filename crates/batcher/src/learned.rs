//! What was learned of each shape: its latency curve, and how many rows memory can hold.
//!
//! A shape that was never seen starts from a guess: the curve of the shape that warm-up measured, in proportion
//! to the bytes of a row. Shapes are remembered up to a bound; the one unused for longest makes room.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;

use crate::Curve;

const REMEMBERED: usize = 256;

/// How long a size that memory could not hold is avoided, before twice as much is tried.
const AVOIDED: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Learned {
    shapes: HashMap<u64, Shape, FixedState>,
    reference: Option<Reference>,
    uses: u64,
}

struct Reference {
    curve: Curve,
    row_bytes: usize,
}

pub struct Shape {
    pub curve: Curve,
    memory: Option<MemoryLimit>,
    used: u64,
}

#[derive(Clone, Copy)]
struct MemoryLimit {
    rows: usize,
    since: Instant,
}

impl Learned {
    pub fn seed(&mut self, key: u64, row_bytes: usize, curve: Curve) {
        self.reference = Some(Reference { curve: curve.clone(), row_bytes });
        self.shapes.insert(key, Shape { curve, memory: None, used: self.uses });
    }

    pub fn curve(&self, key: u64) -> Option<&Curve> {
        self.shapes.get(&key).map(|shape| &shape.curve)
    }

    /// A shape, guessed when it is new: only then are the bytes of its rows counted.
    pub fn shape(&mut self, key: u64, row_bytes: impl FnOnce() -> usize) -> &mut Shape {
        self.uses += 1;
        if self.shapes.len() >= REMEMBERED && !self.shapes.contains_key(&key) {
            let unused = self.shapes.iter().min_by_key(|(_, shape)| shape.used);
            if let Some(unused) = unused.map(|(key, _)| *key) {
                self.shapes.remove(&unused);
            }
        }
        let shape = self.shapes.entry(key).or_insert_with(|| {
            let guess = |reference: &Reference| {
                let factor = row_bytes().max(1) as f64 / reference.row_bytes.max(1) as f64;
                reference.curve.guess(factor)
            };
            let curve = self.reference.as_ref().map(guess).unwrap_or_default();
            Shape { curve, memory: None, used: 0 }
        });
        shape.used = self.uses;
        shape
    }

    pub fn observe(&mut self, key: u64, rows: usize, execution: Duration) {
        if let Some(shape) = self.shapes.get_mut(&key) {
            shape.curve.observe(rows, execution);
        }
    }

    /// There was no memory for so many rows: half of them from now on.
    pub fn out_of_memory(&mut self, key: u64, rows: usize, now: Instant) {
        if let Some(shape) = self.shapes.get_mut(&key) {
            let half = (rows / 2).max(1);
            let rows = shape.memory.map_or(half, |known| known.rows.min(half));
            shape.memory = Some(MemoryLimit { rows, since: now });
        }
    }
}

impl Shape {
    /// Rows that a batch may have at most for the sake of memory.
    pub fn memory_limit(&mut self, max_rows: usize, now: Instant) -> usize {
        let Some(limit) = &mut self.memory else { return max_rows };
        if now.saturating_duration_since(limit.since) >= AVOIDED {
            *limit = MemoryLimit { rows: limit.rows.saturating_mul(2), since: now };
        }
        if limit.rows >= max_rows {
            self.memory = None;
            return max_rows;
        }
        limit.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_new_shape_is_guessed_by_the_bytes_of_its_rows() {
        let mut learned = Learned::default();
        learned.seed(1, 100, Curve::through(&[(1, ms(10))]));
        assert_eq!(learned.shape(2, || 400).curve.typical(1), Some(ms(40)));
    }

    #[test]
    fn half_of_what_memory_could_not_hold_is_the_limit_and_is_raised_a_minute_later() {
        let mut learned = Learned::default();
        let start = Instant::now();
        let limit = |learned: &mut Learned, now| learned.shape(1, || 4).memory_limit(64, now);
        assert_eq!(limit(&mut learned, start), 64);
        learned.out_of_memory(1, 64, start);
        learned.out_of_memory(1, 32, start);
        assert_eq!(limit(&mut learned, start), 16);
        assert_eq!(limit(&mut learned, start + AVOIDED), 32);
        assert_eq!(limit(&mut learned, start + AVOIDED * 2), 64);
    }

    #[test]
    fn shapes_without_end_are_remembered_up_to_a_bound() {
        let mut learned = Learned::default();
        learned.seed(0, 4, Curve::through(&[(1, ms(10))]));
        for key in 1..10_000 {
            learned.shape(0, || 4);
            learned.shape(key, || 4);
        }
        assert_eq!(learned.shapes.len(), REMEMBERED);
        assert!(learned.curve(0).is_some() && learned.curve(1).is_none());
    }
}
