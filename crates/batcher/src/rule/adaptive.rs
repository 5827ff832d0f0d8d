//! The rule that needs no tuning.
//!
//! Three facts decide. **Who is expected**: the *population* is the most rows that were inside together
//! since the last time somebody was waited for in vain, those counted who were just answered; when all of
//! them are here, or none but a lone caller ever was, the batch goes at once. **How soon they come**: callers that
//! were answered together come back together, so the gap between arrivals after a run is measured.
//! **What their coming is worth**: with `k` rows waiting and `T(k)` the learned time of a run,
//!
//! - gone without them, the `m` rows that are missing come just after, wait for the run, and then run themselves:
//!   `k T(k) + m (T(k) + T(m))` in all;
//! - together, everybody waits for `w` and then runs: `(k + m) (w + T(k+m))`.
//!
//! So the missing may be waited for `T(m) m / (k + m) - (T(k+m) - T(k))` after the last of
//! them came and no longer: the *patience*; and never longer than a run in all. Where batches are worth nothing
//! (`T` in proportion to the rows) it is zero, and for a model of microseconds it is shorter than any timer, so neither
//! ever waits. Waiting exactly as long as a success would be worth costs at most twice what knowing the future would
//! (the ski-rental bound), and the first wait in vain corrects the population, so a caller that left is missed
//! once. Deb and Serfozo (Adv. Appl. Prob. 5, 1973) show that a threshold of this kind is the best that a
//! bulk-service queue can do.
//!
//! Two things make company worthless. Where callers come by chance and not in circles most waits are in vain: then
//! nobody is waited for, except once in a while. And while another instance is idle, whoever comes late starts there.
//!
//! Without the rule, eight callers of a weight-bound model run as one and seven: whoever comes back
//! first leaves alone, and the others wait for it.

use std::time::{Duration, Instant};

use tidegate_inference::CloseReason;

use super::{Decision, Ended, Rule, Situation};
use crate::Curve;

/// No timer is kept more finely than this; a shorter patience is none.
const SHORTEST_WAIT: Duration = Duration::from_micros(40);

/// How fast the gap follows what is seen.
const GAP_GAIN: f64 = 0.25;

/// Company that comes more rarely than this is not waited for, but for one time in so many: callers change.
const RELIABLE: f64 = 0.6;
const TRIED_AGAIN: u32 = 16;
/// A wait in vain costs little trust, a kept one gives back more: who is not waited for scatters, and cannot show that it
/// would have come. Waits have to be kept one time in three.
const CAME_GAIN: f64 = 0.3;
const AWAY_GAIN: f64 = 0.1;
/// One in so many may be missing from company that came.
const STRAGGLERS: usize = 4;

/// Idle instances share the rows when that makes a run notably shorter.
const WORTH_SPLITTING: f64 = 0.85;

#[derive(Debug, Default)]
pub struct Adaptive {
    /// Rows expected to be inside at the same time.
    population: usize,
    /// Seconds between two arrivals after a run; none seen yet.
    gap: Option<f64>,
    returning: Option<Returning>,
    last_ended: Option<Instant>,
    company: Company,
}

/// Whether those who were waited for came: what the population promises is true of callers who wait for their
/// answers, and chance of those who do not.
#[derive(Debug)]
struct Company {
    /// The share of waits that ended with nearly everybody there, the last ones weighing most.
    came: f64,
    /// Rows that were missing when the wait began, while there is one.
    expected: Option<usize>,
    /// Batches that went at once although somebody was missing, since the last wait.
    left_without: u32,
}

impl Default for Company {
    fn default() -> Self {
        Self { came: 1.0, expected: None, left_without: 0 }
    }
}

impl Company {
    /// Starts a wait for so many rows, or goes on with one; not if too many stayed away lately.
    fn is_waited_for(&mut self, missing: usize) -> bool {
        if self.expected.is_some() {
            return true;
        }
        if self.came < RELIABLE && self.left_without < TRIED_AGAIN {
            self.left_without += 1;
            return false;
        }
        self.left_without = 0;
        self.expected = Some(missing);
        true
    }

    /// The wait, if there was one, has ended, and so many rows are still missing.
    fn ended(&mut self, missing: usize) {
        if let Some(expected) = self.expected.take() {
            // One straggler in a crowd is forgiven; who comes by chance is seldom complete.
            let came = missing * STRAGGLERS <= expected;
            self.came += if came { CAME_GAIN * (1.0 - self.came) } else { -AWAY_GAIN * self.came };
        }
    }

    /// The wait ended for another reason; nothing is to be learned.
    fn was_not_waited_for(&mut self) {
        self.expected = None;
    }
}

/// The callers of the last run, on their way back.
#[derive(Debug)]
struct Returning {
    since: Instant,
    answered: usize,
    back: usize,
}

impl Rule for Adaptive {
    fn decide(&mut self, situation: &Situation<'_>) -> Decision {
        let Situation { now, rows, limit, in_system, curve, .. } = *situation;
        self.population = self.population.max(in_system + self.on_their_way());
        let go = |why| Decision::Go { rows: share(situation), why };
        if rows >= limit {
            self.company.ended(0);
            return go(CloseReason::Target);
        }
        if situation.closing {
            return go(CloseReason::Drain);
        }
        let missing = (self.population - in_system).min(limit - rows);
        if missing == 0 {
            self.company.ended(0);
            return go(CloseReason::Eager);
        }
        // Whoever comes late finds another instance idle, and waits for nobody.
        let last_idle = situation.idle_instances <= 1;
        let Some(patience) = patience(curve, rows, missing).filter(|_| last_idle) else {
            self.company.was_not_waited_for();
            return go(CloseReason::Eager);
        };
        if patience < SHORTEST_WAIT || self.gap.is_none_or(|gap| gap > patience.as_secs_f64()) {
            self.company.was_not_waited_for();
            return go(CloseReason::Eager);
        }
        let until = (self.since(situation.newest) + patience)
            .min(self.since(situation.oldest) + curve.typical(rows).unwrap_or_default());
        let last_safe = curve.slow(rows + 1).and_then(|run| situation.target.checked_sub(run));
        if last_safe.is_some_and(|safe| now >= safe) {
            self.company.was_not_waited_for();
            return go(CloseReason::Deadline);
        }
        if now >= until {
            self.population = in_system;
            self.company.ended(missing);
            return go(CloseReason::Delay);
        }
        if !self.company.is_waited_for(missing) {
            return go(CloseReason::Eager);
        }
        let until = last_safe.map_or(until, |safe| until.min(safe));
        Decision::Wait { until, rows: missing }
    }

    fn arrived(&mut self, rows: usize, at: Instant) {
        // Whoever came while the run was on was not answered by it.
        let Some(returning) = self.returning.as_mut().filter(|run| run.since <= at) else { return };
        returning.back += rows;
        if returning.back >= returning.answered {
            let took = at.saturating_duration_since(returning.since);
            let seen = took.as_secs_f64() / returning.answered as f64;
            self.learn_gap(seen);
            self.returning = None;
        }
    }

    fn ended(&mut self, run: Ended) {
        // Those who are not back by now count as if the next of them came now.
        if let Some(Returning { since, back, .. }) = self.returning.take() {
            let took = run.at.saturating_duration_since(since).as_secs_f64();
            self.learn_gap(took / (back + 1) as f64);
        }
        self.returning = Some(Returning { since: run.at, answered: run.rows, back: 0 });
        self.last_ended = Some(run.at);
    }

    fn is_sized_by_cost(&self) -> bool {
        true
    }
}

impl Adaptive {
    /// Callers of the last run who are not back. Two cohorts that take turns would else never meet.
    fn on_their_way(&self) -> usize {
        self.returning.as_ref().map_or(0, |returning| returning.answered - returning.back)
    }

    /// The arrival, or the end of the last run if that was later: before it, nobody could have been waited for.
    fn since(&self, arrival: Instant) -> Instant {
        self.last_ended.map_or(arrival, |ended| arrival.max(ended))
    }

    fn learn_gap(&mut self, seen: f64) {
        let gap = self.gap.get_or_insert(seen);
        *gap += GAP_GAIN * (seen - *gap);
    }
}

/// How long `missing` rows may be waited for. None while runs are unknown, or when they are worth nothing.
fn patience(curve: &Curve, rows: usize, missing: usize) -> Option<Duration> {
    let takes = |rows| curve.typical(rows).map(|takes| takes.as_secs_f64());
    let longer = (takes(rows + missing)? - takes(rows)?).max(0.0);
    let share = missing as f64 / (rows + missing) as f64;
    Duration::try_from_secs_f64(takes(missing)? * share - longer).ok()
}

/// The rows of this batch, when other instances are idle as well: their part is left to them if the run
/// becomes notably shorter by that.
fn share(situation: &Situation<'_>) -> usize {
    let Situation { rows, limit, idle_instances, curve, .. } = *situation;
    let part = rows.div_ceil(idle_instances.max(1));
    let shorter = || {
        let (part, all) = (curve.typical(part)?, curve.typical(rows.min(limit))?);
        Some(part.as_secs_f64() < WORTH_SPLITTING * all.as_secs_f64())
    };
    if part < rows && shorter() == Some(true) { part.min(limit) } else { limit }
}
