//! The producers' end: a request goes in, the promise of an answer comes out.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_inference::{Deadline, Error, ErrorKind, Result, Tensor};

use crate::arrivals::{Arrivals, PushError};
use crate::batch::Member;
use crate::reply::Reply;
use crate::rows::slice_rows;
use crate::{Answer, Batcher, Batching, InputAxis, RowLayout};

/// What a caller whose request found the queue full is told to wait: a queue drains in well under
/// a second or not at all, and `Retry-After` counts in seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The waiting line of one version. Cloned by `Arc`, used from any thread, never blocks.
pub struct Queue {
    arrivals: Arc<Arrivals<Member>>,
    batching: Arc<Batching>,
    capacity: usize,
}

/// A queue for at most `capacity` requests, and the batcher that empties it.
pub fn queue(batching: Batching, capacity: NonZeroUsize) -> (Arc<Queue>, Batcher) {
    let arrivals = Arc::new(Arrivals::new(capacity.get()));
    let batching = Arc::new(batching);
    let batcher = Batcher::new(Arc::clone(&arrivals), Arc::clone(&batching));
    (Arc::new(Queue { arrivals, batching, capacity: capacity.get() }), batcher)
}

impl Queue {
    /// Rows of a request whose inputs stand in the order of the signature.
    ///
    /// # Errors
    /// When the inputs disagree about their rows, or have none.
    pub fn rows(&self, inputs: &[Tensor]) -> Result<usize> {
        self.batching.rows(inputs)
    }

    /// Enters a request whose inputs were put in order by the signature. A request of more rows than
    /// a batch may have enters in several parts and is answered once.
    ///
    /// # Errors
    /// At once: rows that do not match, queue full, queue closed.
    pub fn submit(&self, inputs: Vec<Tensor>, deadline: Deadline, now: Instant) -> Result<Answer> {
        let rows = self.rows(&inputs)?;
        match &*self.batching {
            Batching::Rows { layout, policy } if rows > policy.max_batch_size() => {
                self.submit_parts(layout, policy.max_batch_size(), inputs, rows, deadline, now)
            }
            Batching::Rows { layout, .. } => {
                let bucket = layout.bucket(&inputs);
                self.submit_whole(inputs, rows, bucket, deadline, now)
            }
            Batching::Unbatched => self.submit_whole(inputs, rows, 0, deadline, now),
        }
    }

    fn submit_whole(
        &self,
        inputs: Vec<Tensor>,
        rows: usize,
        bucket: u64,
        deadline: Deadline,
        now: Instant,
    ) -> Result<Answer> {
        self.reserve(1)?;
        let (reply, answer) = Reply::whole();
        self.arrivals.push(Member { inputs, rows, bucket, enqueued: now, deadline, reply }, rows);
        Ok(answer)
    }

    fn submit_parts(
        &self,
        layout: &RowLayout,
        max_rows: usize,
        inputs: Vec<Tensor>,
        rows: usize,
        deadline: Deadline,
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
        self.reserve(parts)?;
        let bucket = layout.bucket(&inputs);
        let (replies, answer) = Reply::parts(parts, layout.outputs.clone());
        for (part, reply) in replies.into_iter().enumerate() {
            let range = part * max_rows..rows.min((part + 1) * max_rows);
            let rows = range.len();
            let inputs = inputs
                .iter()
                .zip(&layout.inputs)
                .map(|(tensor, axis)| match axis {
                    InputAxis::Rows(axis) => slice_rows(tensor, *axis, range.clone()),
                    InputAxis::Shared => tensor.clone(),
                })
                .collect();
            let member = Member { inputs, rows, bucket, enqueued: now, deadline, reply };
            self.arrivals.push(member, rows);
        }
        Ok(answer)
    }

    fn reserve(&self, places: usize) -> Result<()> {
        self.arrivals.reserve(places).map_err(|refusal| match refusal {
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
