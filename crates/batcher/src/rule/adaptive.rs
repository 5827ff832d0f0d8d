//! The rule that needs no tuning.
//!
//! Three facts decide. **Who is expected**: the *population* is the most rows that were inside together
//! since the last time somebody was waited for in vain, those counted who were just answered; when all of
//! them are here, or none but a lone caller ever was, the batch goes at once. **Whether they come because they were
//! answered**: callers in a circle ask again right after a run, callers by chance at any time; see [`Echo`].
//! **What their coming is worth**: with `k` rows waiting, `m` missing and `T(k)` the learned time of a run,
//! callers in a circle that are split take turns from then on, and each of them is answered every `T(k) + T(m)`;
//! together, every `w + T(k+m)` after a wait of `w`.
//!
//! So the missing may be waited for `T(k) + T(m) - T(k+m)` after the end of the last run and no longer: the *patience*,
//! which never exceeds a run. For a model of microseconds it is shorter than any timer, so nobody waits there. Waiting
//! exactly as long as a success would be worth costs at most twice what knowing the future would (the ski-rental bound),
//! and the first wait in vain corrects the population, so a caller that left is missed once. Deb and Serfozo
//! (Adv. Appl. Prob. 5, 1973) show that a threshold of this kind is the best that a bulk-service queue can do.
//!
//! Two things make company worthless. While another instance is idle, whoever comes late starts there. And where most
//! waits are in vain, because callers in a circle are mixed with others, they are tried only once in a while.
//!
//! Without the rule, eight callers of a weight-bound model run as one and seven: whoever comes back
//! first leaves alone, and the others wait for it.

use std::mem;
use std::time::{Duration, Instant};

use tidegate_inference::CloseReason;

use super::{Decision, Ended, Rule, Situation};
use crate::Curve;

/// No timer is kept more finely than this; a shorter patience is none.
const SHORTEST_WAIT: Duration = Duration::from_micros(40);

/// Callers are in a circle if they come, on average, in the first quarter of the time from one run's end to the next; by
/// chance they come in the middle.
const IN_A_CIRCLE: f64 = 0.25;
/// What a run's arrivals weigh after the next run.
const ECHO_FADES: f64 = 0.9;
/// A time between two ends is measured by the one before if that was longer, up to so many times: a pause is no measure.
const UNEVEN: f64 = 8.0;

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
    returning: Option<Returning>,
    echo: Echo,
    company: Company,
}

/// The callers of the last run, on their way back.
#[derive(Debug)]
struct Returning {
    since: Instant,
    answered: usize,
    back: usize,
}

/// When callers come between the ends of two runs: `0` at once after the first, `1` just before the second. That of
/// callers in a circle is near `0` however they are split into batches; that of callers by chance is about one half.
#[derive(Debug, Default)]
struct Echo {
    /// Of the last run, and the measure of the time that it ended.
    last: Option<(Instant, Interval)>,
    /// Since then: rows, and the seconds after it at which they came, added up.
    rows: usize,
    came_after: f64,
    /// Rows of all runs before, and where they came between two ends, added up; the last ones weigh most.
    past_rows: f64,
    past_came_at: f64,
}

/// The time between the ends of two runs.
#[derive(Clone, Copy, Debug)]
struct Interval {
    since: Instant,
    takes: f64,
    /// What "soon after" is measured by: the interval, or the one before if that was longer. Where a run of most callers
    /// and one of a few take turns, most come in the short one.
    whole: f64,
}

impl Echo {
    fn arrived(&mut self, rows: usize, at: Instant) {
        let Some((end, interval)) = self.last else { return };
        if let Some(after) = at.checked_duration_since(end) {
            self.rows += rows;
            self.came_after += after.as_secs_f64() * rows as f64;
        } else if let Some(after) = at.checked_duration_since(interval.since) {
            self.remember(rows, after.as_secs_f64() * rows as f64, interval.whole);
        }
    }

    fn ended(&mut self, at: Instant) {
        let (since, before) = self.last.map_or((at, 0.0), |(end, interval)| (end, interval.takes));
        let takes = at.saturating_duration_since(since).as_secs_f64();
        let whole = takes.max(before.min(UNEVEN * takes));
        self.last = Some((at, Interval { since, takes, whole }));
        self.past_rows *= ECHO_FADES;
        self.past_came_at *= ECHO_FADES;
        let (rows, came_after) = (mem::take(&mut self.rows), mem::take(&mut self.came_after));
        self.remember(rows, came_after, whole);
    }

    fn remember(&mut self, rows: usize, came_after: f64, whole: f64) {
        if whole > 0.0 {
            self.past_rows += rows as f64;
            self.past_came_at += came_after / whole;
        }
    }

    /// Not of callers of whom nothing is known.
    fn is_of_a_circle(&self) -> bool {
        self.past_came_at < IN_A_CIRCLE * self.past_rows
    }

    fn last_end(&self) -> Option<Instant> {
        self.last.map(|(end, _)| end)
    }
}

/// Whether those who were waited for came.
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
        let patience = patience(curve, rows, missing).filter(|patience| *patience >= SHORTEST_WAIT);
        let Some(patience) = patience.filter(|_| last_idle && self.echo.is_of_a_circle()) else {
            self.company.was_not_waited_for();
            return go(CloseReason::Eager);
        };
        let last_safe = curve.slow(rows + 1).and_then(|run| situation.target.checked_sub(run));
        if last_safe.is_some_and(|safe| now >= safe) {
            self.company.was_not_waited_for();
            return go(CloseReason::Deadline);
        }
        let until = self.since(situation.oldest) + patience;
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
        self.echo.arrived(rows, at);
        // Whoever came while the run was on was not answered by it.
        let Some(returning) = self.returning.as_mut().filter(|run| run.since <= at) else { return };
        returning.back += rows;
        if returning.back >= returning.answered {
            self.returning = None;
        }
    }

    fn ended(&mut self, run: Ended) {
        self.echo.ended(run.at);
        self.returning = Some(Returning { since: run.at, answered: run.rows, back: 0 });
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
        self.echo.last_end().map_or(arrival, |ended| arrival.max(ended))
    }
}

/// How long `missing` rows may be waited for. None while runs are unknown, or when company is worth nothing.
fn patience(curve: &Curve, rows: usize, missing: usize) -> Option<Duration> {
    let apart = curve.typical(rows)?.checked_add(curve.typical(missing)?)?;
    apart.checked_sub(curve.typical(rows + missing)?)
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
