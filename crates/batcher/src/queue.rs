//! The producers' end: a request goes in, the promise of an answer comes out.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidegate_inference::{Error, ErrorKind, Priority, Result, Tensor};

use crate::arrivals::{Arrivals, PushError};
use crate::batch::Member;
use crate::forecast::{Forecast, KnownCost};
use crate::reply::Reply;
use crate::rule::Rule;
use crate::{Answer, Batcher, Batching, RowLayout, Terms};

/// What a caller whose request found the queue full is told to wait: a queue drains in well under
/// a second or not at all, and `Retry-After` counts in seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A full queue is searched for the departed at most this often: while everybody in it is alive, the
/// search is in vain.
const SWEEP_PAUSE: Duration = Duration::from_millis(1);

/// Tries of a caller that leaves, while somebody forms a batch.
const TURNS: usize = 16;

/// The waiting line of one version. Cloned by `Arc`, used from any thread, never blocks.
pub struct Queue {
    arrivals: Arc<Arrivals<Member>>,
    batching: Arc<Batching>,
    forecast: Arc<Forecast>,
    capacity: usize,
    made: Instant,
    /// In ns after `made`.
    swept: AtomicU64,
    /// Since they were last searched for.
    departed: AtomicUsize,
}

/// A queue for at most `capacity` requests, and the batcher that empties it.
pub fn queue(batching: Batching, capacity: NonZeroUsize) -> (Arc<Queue>, Batcher) {
    build(batching, capacity, None, Instant::now())
}

/// The same with a rule of one's own and a clock of one's own, whose first instant is `start`.
pub fn queue_with_rule(
    batching: Batching,
    capacity: NonZeroUsize,
    rule: Box<dyn Rule>,
    start: Instant,
) -> (Arc<Queue>, Batcher) {
    build(batching, capacity, Some(rule), start)
}

fn build(
    batching: Batching,
    capacity: NonZeroUsize,
    rule: Option<Box<dyn Rule>>,
    made: Instant,
) -> (Arc<Queue>, Batcher) {
    let arrivals = Arc::new(Arrivals::new(capacity.get()));
    let (batching, forecast) = (Arc::new(batching), Arc::new(Forecast::new(made)));
    let batcher =
        Batcher::new(Arc::clone(&arrivals), Arc::clone(&batching), Arc::clone(&forecast), rule);
    let capacity = capacity.get();
    let queue = Queue {
        arrivals,
        batching,
        forecast,
        capacity,
        made,
        swept: AtomicU64::new(0),
        departed: AtomicUsize::new(0),
    };
    (Arc::new(queue), batcher)
}

impl Queue {
    /// Rows of a request whose inputs stand in the order of the signature.
    ///
    /// # Errors
    /// When the inputs disagree about their rows, or have none.
    pub fn rows(&self, inputs: &[Tensor]) -> Result<usize> {
        self.batching.rows(inputs)
    }

    /// How long a request of `rows` rows that came now would take until it is answered, by what was
    /// learned; without a priority, as if it were the most urgent that comes here. None when nobody
    /// would have to wait, or nothing is known.
    pub fn predicted(
        &self,
        rows: usize,
        priority: Option<Priority>,
        now: Instant,
    ) -> Option<Duration> {
        self.forecast.predict(rows, priority, self.arrivals.pushed(), now)
    }

    /// What runs were learned to cost.
    pub fn known_cost(&self) -> Option<KnownCost> {
        self.forecast.known()
    }

    /// Enters a request whose inputs were put in order by the signature. A request of more rows than
    /// a batch may have enters in several parts and is answered once.
    ///
    /// # Errors
    /// At once: rows that do not match, queue full, queue closed.
    pub fn submit(
        &self,
        inputs: Vec<Tensor>,
        terms: impl Into<Terms>,
        now: Instant,
    ) -> Result<Answer> {
        let (rows, terms) = (self.rows(&inputs)?, terms.into());
        match &*self.batching {
            Batching::Rows { layout, policy } if rows > policy.max_batch_size() => {
                self.submit_parts(layout, policy.max_batch_size(), inputs, rows, terms, now)
            }
            Batching::Rows { .. } | Batching::Unbatched => {
                self.reserve(1, now)?;
                let (reply, answer) = Reply::whole();
                self.push(inputs, rows, terms, now, reply);
                Ok(answer)
            }
        }
    }

    fn push(&self, inputs: Vec<Tensor>, rows: usize, terms: Terms, now: Instant, reply: Reply) {
        let bucket = self.batching.bucket(&inputs);
        self.forecast.levels().entered(terms.priority, rows);
        let member = Member { inputs, rows, bucket, enqueued: now, terms, is_apart: false, reply };
        self.arrivals.push(member, rows);
    }

    fn submit_parts(
        &self,
        layout: &RowLayout,
        max_rows: usize,
        inputs: Vec<Tensor>,
        rows: usize,
        terms: Terms,
        now: Instant,
    ) -> Result<Answer> {
        let parts = rows.div_ceil(max_rows);
        if parts > self.capacity {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "inference request batch-size must be <= {}: got {rows} rows, which need {parts} batches of {max_rows} in a queue of {}",
                    self.capacity.saturating_mul(max_rows),
                    self.capacity
                ),
            ));
        }
        self.reserve(parts, now)?;
        let (replies, answer) = Reply::parts(parts, layout.outputs.clone());
        for (part, reply) in replies.into_iter().enumerate() {
            let range = part * max_rows..rows.min((part + 1) * max_rows);
            let rows = range.len();
            let inputs = layout.rows_of(&inputs, range);
            self.push(inputs, rows, terms, now, reply);
        }
        Ok(answer)
    }

    fn reserve(&self, places: usize, now: Instant) -> Result<()> {
        let refusal = match self.arrivals.reserve(places) {
            Err(PushError::Full) if self.may_sweep(now) => {
                self.arrivals.sweep(now);
                self.arrivals.reserve(places)
            }
            other => other,
        };
        refusal.map_err(|refusal| match refusal {
            PushError::Full => Error::new(
                ErrorKind::Overloaded,
                format!("Exceeds maximum queue size of {} requests", self.capacity),
            )
            .with_retry_after(RETRY_AFTER),
            PushError::Closed => Error::new(
                ErrorKind::Unavailable,
                "the version is draining and takes no new requests",
            )
            .with_retry_after(RETRY_AFTER),
        })
    }

    /// Answers the late and forgets the departed, also while nobody is free to lead. True when it was
    /// done: not right after the last time, and not while somebody leads.
    pub fn sweep(&self, now: Instant) -> bool {
        self.may_sweep(now) && self.arrivals.sweep(now)
    }

    /// Somebody who waited here has left. Places of the departed are given back at once while few wait, and after
    /// every eighth of them when many do: searching the queue for each of a crowd would cost the crowd's square.
    pub fn departed(&self, now: Instant) {
        // Relaxed: the counter guards nothing but itself.
        let departed = self.departed.fetch_add(1, Ordering::Relaxed) + 1;
        let worth_it = departed.saturating_mul(8) >= self.len();
        if worth_it && self.sweep_soon(now) {
            self.departed.store(0, Ordering::Relaxed);
        }
    }

    /// Forming a batch takes microseconds, so whoever is at it is given a few turns to finish. What is left after
    /// that is left to the next batch.
    fn sweep_soon(&self, now: Instant) -> bool {
        for _ in 0..TURNS {
            if self.is_empty() || self.arrivals.sweep(now) {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    /// Whoever moves the mark sweeps; the others of that moment do not.
    fn may_sweep(&self, now: Instant) -> bool {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = nanos(now.saturating_duration_since(self.made)).saturating_add(1);
        let is_due = |last: u64| last == 0 || now >= last.saturating_add(nanos(SWEEP_PAUSE));
        let due = |last| is_due(last).then_some(now);
        // Relaxed: the mark guards nothing but itself.
        self.swept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }

    /// Refuses every later request. What is inside is still executed.
    pub fn close(&self) {
        self.arrivals.close();
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }
}
