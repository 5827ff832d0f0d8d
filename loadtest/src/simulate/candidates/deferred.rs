//! Waits until the last moment at which the most urgent request would still be answered in time.
//!
//! That is the deferred window of Symphony (Chen et al., 2023) and near to what Clockwork (OSDI 2020) does with its
//! predictions: batches are as large as the SLO allows, also when nobody else is about to come. The surprising thing is
//! its price: at low load every caller waits for nearly the whole SLO.

use tidegate_batcher::rule::{Decision, Rule, Situation};
use tidegate_inference::CloseReason;

#[derive(Clone, Copy, Debug)]
pub struct Deferred;

impl Rule for Deferred {
    fn decide(&mut self, situation: &Situation<'_>) -> Decision {
        let Situation { now, rows, limit, target, closing, curve, .. } = *situation;
        let go = |why| Decision::Go { rows: limit, why };
        if rows >= limit {
            return go(CloseReason::Target);
        }
        if closing {
            return go(CloseReason::Drain);
        }
        // The next to come would make the run so long. A run of unknown length is begun at once.
        let last_safe = curve.slow(rows + 1).and_then(|run| target.checked_sub(run));
        match last_safe.filter(|safe| *safe > now) {
            Some(until) => Decision::Wait { until, rows: 1 },
            None => go(CloseReason::Deadline),
        }
    }

    fn is_sized_by_cost(&self) -> bool {
        true
    }
}
