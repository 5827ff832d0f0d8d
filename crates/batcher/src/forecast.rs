//! When an answer can be expected: what the batcher has learned, for admission to read without a lock.
//!
//! The leader writes after every step, everybody reads. The numbers are independent estimates and guard
//! nothing, so all orderings are relaxed: a reader that sees one of them a step earlier than another
//! is off by one batch.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tidegate_inference::Priority;

use crate::latency::BELIEVED;
use crate::levels::Levels;

pub struct Forecast {
    base: Instant,
    /// Rows in a full batch; 0 while nothing is known.
    full: AtomicU64,
    /// What a full batch and a single row take, in ns.
    full_takes: AtomicU64,
    one_takes: AtomicU64,
    /// What the slowest twentieth takes, in percent of the usual.
    tail: AtomicU64,
    instances: AtomicU64,
    /// When an instance is free next, in ns after `base`; 0 when one is free now.
    free_at: AtomicU64,
    /// When a run ended last, in ns after `base`.
    ended_at: AtomicU64,
    /// Rows that have left the queue.
    left: AtomicU64,
    levels: Levels,
}

/// What the leader knows.
pub struct Outlook {
    pub full: usize,
    pub full_takes: Duration,
    pub one_takes: Duration,
    pub one_takes_at_worst: Duration,
    pub instances: usize,
}

/// In percent. On a machine that stalls now and then the slowest twentieth says more about the machine than
/// about this request; who would be refused for that would have been answered in time nineteen times in twenty.
const LARGEST_TAIL: u64 = 150;

/// What runs usually cost now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownCost {
    /// Rows of a full batch: the knee, or the cap.
    pub full_rows: usize,
    /// What a full batch takes, and a single row.
    pub full: Duration,
    pub one: Duration,
}

impl Forecast {
    pub fn new(base: Instant) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            base,
            full: zero(),
            full_takes: zero(),
            one_takes: zero(),
            tail: AtomicU64::new(100),
            instances: AtomicU64::new(1),
            free_at: zero(),
            ended_at: zero(),
            left: zero(),
            levels: Levels::new(),
        }
    }

    pub fn learned(&self, outlook: &Outlook) {
        let one = nanos(outlook.one_takes).max(1);
        self.full_takes.store(nanos(outlook.full_takes), Relaxed);
        self.one_takes.store(one, Relaxed);
        let worst = nanos(outlook.one_takes_at_worst).saturating_mul(100) / one;
        self.tail.store(worst.clamp(100, LARGEST_TAIL), Relaxed);
        self.instances.store(outlook.instances.max(1) as u64, Relaxed);
        self.full.store(outlook.full as u64, Relaxed);
    }

    pub fn run_ended(&self, at: Instant) {
        self.ended_at.store(self.since_base(at).max(1), Relaxed);
    }

    /// The instant at which an instance is free; `None` when one is free already.
    pub fn free_at(&self, at: Option<Instant>) {
        self.free_at.store(at.map_or(0, |at| self.since_base(at).max(1)), Relaxed);
    }

    pub fn rows_left(&self, rows: u64) {
        self.left.store(rows, Relaxed);
    }

    /// What was learned of the shape that ran last, at its usual pace. None while nothing is known.
    pub fn known(&self) -> Option<KnownCost> {
        let full_rows = usize::try_from(self.full.load(Relaxed)).ok().filter(|rows| *rows > 0)?;
        let duration = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Relaxed));
        Some(KnownCost {
            full_rows,
            full: duration(&self.full_takes),
            one: duration(&self.one_takes),
        })
    }

    /// Which rows of those that wait are whose.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// How long `rows` rows that come now would take until they are answered, when `pushed` rows have come
    /// so far. None when nobody would have to wait, or nothing is known.
    pub fn predict(
        &self,
        rows: usize,
        priority: Option<Priority>,
        pushed: u64,
        now: Instant,
    ) -> Option<Duration> {
        let free_at = self.free_at.load(Relaxed);
        let waiting = pushed.saturating_sub(self.left.load(Relaxed));
        let waiting = self.levels.ahead(waiting, priority);
        let full = self.full.load(Relaxed);
        let now = self.since_base(now);
        let is_idle = free_at == 0 && waiting == 0;
        if is_idle || full == 0 || !self.is_believed(now) {
            return None;
        }
        let (full_takes, one_takes) = (self.full_takes.load(Relaxed), self.one_takes.load(Relaxed));
        let instances = self.instances.load(Relaxed);
        let ahead = (waiting / full).saturating_mul(full_takes) / instances;
        // Those that do not fill a batch share this one's. Behind a whole batch others will have filled it by its turn.
        let own = waiting % full + rows as u64;
        let batch = if own >= full || waiting >= full {
            (own / full).max(1).saturating_mul(full_takes)
        } else {
            one_takes + full_takes.saturating_sub(one_takes) * own / full
        };
        let batch = batch.saturating_mul(self.tail.load(Relaxed)) / 100;
        let wait = free_at.saturating_sub(now).saturating_add(ahead).saturating_add(batch);
        Some(Duration::from_nanos(wait))
    }

    fn is_believed(&self, now: u64) -> bool {
        now < self.ended_at.load(Relaxed).saturating_add(nanos(BELIEVED))
    }

    fn since_base(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.base))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A full batch of 8 takes 8 ms, a single row 1 ms; one instance.
    fn forecast(now: Instant) -> Forecast {
        let forecast = Forecast::new(now);
        forecast.learned(&Outlook {
            full: 8,
            full_takes: 8 * MS,
            one_takes: MS,
            one_takes_at_worst: MS,
            instances: 1,
        });
        forecast.run_ended(now);
        forecast
    }

    #[test]
    fn a_free_instance_and_no_queue_promise_nothing_and_refuse_nobody() {
        let now = Instant::now();
        assert_eq!(forecast(now).predict(1, None, 0, now), None);
    }

    #[test]
    fn what_runs_what_waits_and_the_own_batch_add_up() {
        let now = Instant::now();
        let forecast = forecast(now);
        forecast.free_at(Some(now + 5 * MS));
        // 5 ms until it is free, two full batches ahead, and a last one of 4 + 4 rows.
        assert_eq!(forecast.predict(4, None, 20, now), Some((5 + 16 + 8) * MS));
        // Behind a whole batch the own one will be full as well when its turn comes.
        assert_eq!(forecast.predict(1, None, 9, now), Some((5 + 8 + 8) * MS));
        // What has left waits no more: a batch of one row, which is one eighth of the way to a full one.
        forecast.rows_left(20);
        assert_eq!(forecast.predict(1, None, 20, now), Some(5 * MS + MS + 7 * MS / 8));
    }

    #[test]
    fn without_a_run_for_a_second_nothing_is_known_any_more() {
        let now = Instant::now();
        let forecast = forecast(now);
        forecast.free_at(Some(now + 5000 * MS));
        assert!(forecast.predict(1, None, 0, now + 999 * MS).is_some());
        assert_eq!(forecast.predict(1, None, 0, now + 1001 * MS), None);
    }
}
