//! What a model's configuration says of time, and what follows from it for one request: until when it
//! may be answered, by when it should be, and whether there is any point in taking it.
//!
//! The surprising thing is who is refused: with an `slo`, also a request whose deadline could be met. Its
//! answer would be late for its purpose, and the queue it would stand in makes others late too.

use std::time::{Duration, Instant};

use tidegate_batcher::{Queue, Terms};
use tidegate_inference::{Deadline, Error, ErrorKind, Priority, Result};

/// A model's own times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// How soon answers are wanted, from when the whole request is there: a body that comes in slowly is not the
    /// queue's doing, and no reason to refuse it.
    pub slo: Option<Duration>,
    /// How late they may be at the most, from the request's head.
    pub request_timeout: Option<Duration>,
}

impl Timing {
    /// For a request whose head was read at `received` and the rest of it by `complete`, and whose caller waits
    /// until `deadline`.
    pub(crate) fn terms(
        self,
        received: Instant,
        complete: Instant,
        deadline: Deadline,
        priority: Priority,
    ) -> Terms {
        let within = |deadline: Deadline, start, bound: Option<Duration>| {
            bound.map_or(deadline, |bound| deadline.min(Deadline::after(start, bound)))
        };
        let deadline = within(deadline, received, self.request_timeout);
        Terms { deadline, target: within(deadline, complete, self.slo), priority }
    }
}

/// Refuses what would be answered after its target, by what the queue has learned. Whoever finds nobody
/// waiting is taken: it costs nobody anything, and its run keeps what is learned true. The priority is
/// None as long as only the head is known: in the queue's favourable view, nobody is refused who
/// might overtake.
///
/// # Errors
/// [`ErrorKind::Overloaded`], with the predicted wait.
pub(crate) fn check_in_time(
    queue: &Queue,
    rows: usize,
    priority: Option<Priority>,
    terms: &Terms,
    now: Instant,
) -> Result<()> {
    if queue.is_empty() {
        return Ok(());
    }
    let (left, predicted) = (terms.target.left(now), queue.predicted(rows, priority, now));
    match predicted.filter(|predicted| *predicted > left) {
        Some(predicted) => Err(would_be_late(predicted, terms, now)),
        None => Ok(()),
    }
}

fn would_be_late(predicted: Duration, terms: &Terms, now: Instant) -> Error {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let bound = if terms.target < terms.deadline { "target (slo)" } else { "deadline" };
    let message = format!(
        "predicted to be answered in {:.3} ms, after its {bound} in {:.3} ms",
        millis(predicted),
        millis(terms.target.left(now))
    );
    Error::new(ErrorKind::Overloaded, message).with_retry_after(predicted)
}
