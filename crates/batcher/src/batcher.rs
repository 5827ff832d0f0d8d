//! The batching rule, as a plain state machine that is told the time.
//!
//! Requests wait in *shape buckets*: those that may share a batch stand in one bucket, in the order
//! of their arrival, so a new shape never closes another shape's batch. A bucket is *due* when it
//! holds `batch_size` rows, when its oldest request has waited `max_queue_delay`, or when the queue
//! is closing. Among several due buckets the one with the oldest request goes first. A batch takes
//! requests in order until the next would carry it past `max_batch_size`.
//!
//! The timer belongs to the oldest request and never starts again: whoever joins later gains, and
//! nobody pays. Requests whose caller is gone are left out when the batch forms, and those whose
//! deadline has passed are answered instead of run.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tidegate_inference::{CloseReason, Error, ErrorKind};

use crate::arrivals::Arrivals;
use crate::batch::{Batch, Member};
use crate::{BatchPolicy, Batching};

/// What the leader should do next.
pub enum Step {
    /// Execute this, after handing leadership on.
    Dispatch(Batch),
    /// Nothing is due before this instant, unless something arrives: see [`Batcher::poll_news`].
    WaitUntil(Instant),
    /// Nothing is waiting.
    Idle,
    /// Closed, and everything that was inside has been dispatched or answered.
    Closed,
}

/// Forms batches, for whoever leads. One exists for each queue.
pub struct Batcher {
    arrivals: Arc<Arrivals<Member>>,
    batching: Arc<Batching>,
    buckets: HashMap<u64, Bucket>,
    /// The memory of a bucket that was emptied, for the next one.
    spare: VecDeque<Waiting>,
    /// Rows ever taken out of `arrivals`.
    taken: u64,
    /// The place of the next arrival.
    next_place: u64,
    /// Further rows without which another step is pointless.
    wanted: u64,
    knows_closed: bool,
}

struct Bucket {
    members: VecDeque<Waiting>,
    rows: usize,
}

/// A member and its place in the order of arrival over all buckets.
struct Waiting {
    place: u64,
    member: Member,
}

/// Why a bucket may go now.
type Due = CloseReason;

impl Batcher {
    pub(crate) fn new(arrivals: Arc<Arrivals<Member>>, batching: Arc<Batching>) -> Self {
        Self {
            arrivals,
            batching,
            buckets: HashMap::new(),
            spare: VecDeque::new(),
            taken: 0,
            next_place: 0,
            wanted: 1,
            knows_closed: false,
        }
    }

    /// Decides, as of `now`.
    pub fn step(&mut self, now: Instant) -> Step {
        self.arrivals.awake();
        // Read before the arrivals are taken: what was pushed before the closing is then seen.
        self.knows_closed = self.arrivals.is_closed();
        self.take_arrivals();
        self.drop_stale_heads(now);
        while let Some((key, due)) = self.oldest_due(now) {
            if let Some(batch) = self.form(key, due, now) {
                // What is left behind may be due as well: the next step need not wait for news.
                self.wanted = u64::from(self.buckets.is_empty());
                return Step::Dispatch(batch);
            }
        }
        if self.buckets.is_empty() {
            self.wanted = 1;
            return if self.arrivals.is_finished() { Step::Closed } else { Step::Idle };
        }
        self.wait()
    }

    /// Ready when another [`Batcher::step`] is worthwhile: enough rows arrived to complete a batch, the
    /// queue closed, or the last batch left requests behind. Otherwise the waker is registered, and
    /// stays so until the next step.
    pub fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.arrivals.poll_pushed(context, self.taken + self.wanted, self.knows_closed)
    }

    fn take_arrivals(&mut self) {
        while let Some(member) = self.arrivals.pop() {
            self.taken += member.rows as u64;
            let mut key = member.bucket;
            while self.holds_another_shape(key, &member) {
                // Two shapes with one hash: the second takes the next number.
                key = key.wrapping_add(1);
            }
            let bucket = self
                .buckets
                .entry(key)
                .or_insert_with(|| Bucket { members: std::mem::take(&mut self.spare), rows: 0 });
            bucket.rows += member.rows;
            bucket.members.push_back(Waiting { place: self.next_place, member });
            self.next_place += 1;
        }
    }

    fn holds_another_shape(&self, key: u64, member: &Member) -> bool {
        let Batching::Rows { layout, .. } = &*self.batching else { return false };
        let first = self.buckets.get(&key).and_then(|bucket| bucket.members.front());
        first.is_some_and(|first| !layout.agree(&first.member.inputs, &member.inputs))
    }

    /// A request that nobody waits for holds no timer.
    fn drop_stale_heads(&mut self, now: Instant) {
        let arrivals = &self.arrivals;
        self.buckets.retain(|_, bucket| {
            while bucket.members.front().is_some_and(|head| is_stale(&head.member, now)) {
                if let Some(head) = bucket.members.pop_front() {
                    bucket.rows -= head.member.rows;
                    discard(head.member, now);
                    arrivals.release(1);
                }
            }
            !bucket.members.is_empty()
        });
    }

    /// The due bucket whose head has waited longest.
    fn oldest_due(&self, now: Instant) -> Option<(u64, Due)> {
        self.buckets
            .iter()
            .filter_map(|(key, bucket)| {
                let due = self.due(bucket, now)?;
                Some((bucket.members.front()?.place, *key, due))
            })
            .min_by_key(|(place, ..)| *place)
            .map(|(_, key, due)| (key, due))
    }

    fn due(&self, bucket: &Bucket, now: Instant) -> Option<Due> {
        let Some(policy) = self.policy() else { return Some(CloseReason::Unbatched) };
        let head = &bucket.members.front()?.member;
        if bucket.rows >= policy.batch_size() {
            Some(CloseReason::Target)
        } else if self.knows_closed {
            Some(CloseReason::Drain)
        } else if policy.max_queue_delay().is_zero() {
            Some(CloseReason::Eager)
        } else {
            (now >= head.enqueued + policy.max_queue_delay()).then_some(CloseReason::Delay)
        }
    }

    fn policy(&self) -> Option<&BatchPolicy> {
        match &*self.batching {
            Batching::Rows { policy, .. } => Some(policy),
            Batching::Unbatched => None,
        }
    }

    /// Takes a batch out of a due bucket. `None` when it was due for its number of rows, and too
    /// few of them are still waited for.
    fn form(&mut self, key: u64, due: Due, now: Instant) -> Option<Batch> {
        let max_rows = self.policy().map_or(1, BatchPolicy::max_batch_size);
        let target = self.policy().map_or(1, BatchPolicy::batch_size);
        let bucket = self.buckets.get_mut(&key)?;
        if due == CloseReason::Target && !bucket.still_holds(target, now, &self.arrivals) {
            self.remove_if_empty(key);
            return None;
        }
        let mut members = Vec::with_capacity(bucket.members.len().min(max_rows));
        let mut rows = 0;
        let mut closed_by = due;
        while let Some(Waiting { member: next, .. }) = bucket.members.front() {
            let stale = is_stale(next, now);
            if !stale && rows + next.rows > max_rows {
                closed_by = if due == CloseReason::Unbatched { due } else { CloseReason::Cap };
                break;
            }
            let Some(Waiting { member: next, .. }) = bucket.members.pop_front() else { break };
            bucket.rows -= next.rows;
            self.arrivals.release(1);
            if stale {
                discard(next, now);
            } else {
                rows += next.rows;
                members.push(next);
            }
        }
        self.remove_if_empty(key);
        (!members.is_empty()).then(|| Batch::new(members, closed_by, Arc::clone(&self.batching)))
    }

    fn remove_if_empty(&mut self, key: u64) {
        if self.buckets.get(&key).is_some_and(|bucket| bucket.members.is_empty())
            && let Some(bucket) = self.buckets.remove(&key)
        {
            self.spare = bucket.members;
        }
    }

    /// Until the oldest head has waited its delay, or some bucket could reach its target.
    fn wait(&mut self) -> Step {
        let Some(policy) = self.policy() else { return Step::Idle };
        let (target, delay) = (policy.batch_size(), policy.max_queue_delay());
        let missing = self.buckets.values().map(|bucket| target.saturating_sub(bucket.rows)).min();
        let heads = self.buckets.values().filter_map(|bucket| bucket.members.front());
        let oldest = heads.map(|head| head.member.enqueued).min();
        self.wanted = missing.unwrap_or(1).max(1) as u64;
        match oldest {
            Some(oldest) => Step::WaitUntil(oldest + delay),
            None => Step::Idle,
        }
    }
}

impl Bucket {
    /// Drops what nobody waits for, everywhere in the bucket, and counts again.
    fn still_holds(&mut self, target: usize, now: Instant, arrivals: &Arrivals<Member>) -> bool {
        if self.members.iter().any(|waiting| is_stale(&waiting.member, now)) {
            for waiting in std::mem::take(&mut self.members) {
                if is_stale(&waiting.member, now) {
                    self.rows -= waiting.member.rows;
                    arrivals.release(1);
                    discard(waiting.member, now);
                } else {
                    self.members.push_back(waiting);
                }
            }
        }
        self.rows >= target
    }
}

fn is_stale(member: &Member, now: Instant) -> bool {
    member.deadline.is_past(now) || member.reply.is_caller_gone()
}

/// Ends a request without running it.
fn discard(member: Member, now: Instant) {
    let waited = now.saturating_duration_since(member.enqueued);
    member.reply.send(Err(Error::new(
        ErrorKind::DeadlineExceeded,
        format!("Request timeout expired: its deadline passed after {waited:?} in the queue"),
    )));
}
