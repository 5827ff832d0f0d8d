//! A cap on the batch that grows by one row after each full run within the SLO, and shrinks by a tenth after each run
//! that missed it: Clipper's rule (Crankshaw et al., NSDI 2017, section 4.3.1), which needs no model of latency.
//!
//! As there, a batch goes as soon as an instance is free, and the SLO is held against the run alone.

use std::time::Duration;

use tidegate_batcher::rule::{Decision, Ended, Rule, Situation};
use tidegate_inference::CloseReason;

const BACK_OFF: f64 = 0.9;

#[derive(Clone, Copy, Debug)]
pub struct Aimd {
    slo: Duration,
    cap: f64,
}

impl Aimd {
    pub fn new(slo: Duration) -> Self {
        Self { slo, cap: 1.0 }
    }

    fn rows(&self) -> usize {
        self.cap as usize
    }
}

impl Rule for Aimd {
    fn decide(&mut self, situation: &Situation<'_>) -> Decision {
        let rows = self.rows().min(situation.limit);
        let why = if situation.rows >= rows { CloseReason::Target } else { CloseReason::Eager };
        Decision::Go { rows, why }
    }

    fn ended(&mut self, run: Ended) {
        if run.execution > self.slo {
            self.cap = (self.cap * BACK_OFF).max(1.0);
        } else if run.rows >= self.rows() {
            self.cap += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_cap_grows_by_a_row_and_shrinks_by_a_tenth() {
        let ms = Duration::from_millis;
        let mut rule = Aimd::new(ms(50));
        let mut run = |rows, execution| {
            rule.ended(Ended { rows, execution, at: Instant::now() });
            rule.rows()
        };
        assert_eq!([run(1, ms(10)), run(2, ms(10)), run(1, ms(10))], [2, 3, 3]);
        assert_eq!([run(3, ms(51)), run(2, ms(51))], [2, 2]);
        assert!((0..100).all(|_| run(1, ms(51)) >= 1));
    }
}
