//! The rule as operators know it: a target, a cap, and how long the oldest request may wait.
//!
//! The timer belongs to the oldest request and never starts again: whoever joins later gains, and
//! nobody pays. A delay of zero is the *eager* rule: a batch goes as soon as an instance is free.

use std::time::Duration;

use tidegate_inference::CloseReason;

use super::{Decision, Rule, Situation};

#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    pub batch_size: usize,
    pub max_queue_delay: Duration,
}

impl Rule for Fixed {
    fn decide(&mut self, situation: &Situation<'_>) -> Decision {
        let Situation { now, rows, oldest, limit, closing, .. } = *situation;
        let go = |why| Decision::Go { rows: limit, why };
        // What memory has made smaller than the target is the target.
        let target = self.batch_size.min(limit);
        if rows >= target {
            return go(CloseReason::Target);
        }
        if closing {
            return go(CloseReason::Drain);
        }
        if self.max_queue_delay.is_zero() {
            return go(CloseReason::Eager);
        }
        let until = oldest + self.max_queue_delay;
        if now >= until {
            return go(CloseReason::Delay);
        }
        Decision::Wait { until, rows: target - rows }
    }
}
