//! Takes requests in, asks the rule, lets batches out: a plain state machine that is told the time.
//!
//! Requests wait in *shape buckets*: those that may share a batch stand in one bucket, so a new shape
//! never closes another shape's batch. Of the buckets that may go, the one with the most urgent request
//! goes first. A batch takes requests in the order of their urgency until the next would carry it
//! past its limit, or, unless there is a backlog, past the instant by which one of its members should
//! be answered.
//!
//! Requests whose caller is gone are left out, and those whose deadline has passed, or would pass
//! during the run, are answered instead of run. After a run the worker tells how it went: that is
//! how latencies are learned, culprits kept apart and sizes that memory cannot hold avoided.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use tidegate_inference::{CloseReason, Error, ErrorKind, Tensor};

use crate::arrivals::Arrivals;
use crate::batch::{Batch, Member, Ticket};
use crate::bucket::{Bucket, Urgency, Waiting};
use crate::forecast::{Forecast, Outlook};
use crate::latency::BELIEVED;
use crate::learned::Learned;
use crate::quarantine::{Fingerprint, Quarantine};
use crate::rule::{self, Decision, Ended, Rule, Situation};
use crate::{Batching, Curve};

/// Emptied buckets kept for their memory.
const SPARE: usize = 4;

/// So many times its limit a bucket may be and still be searched wholly for the departed at every step.
const SEARCHED: usize = 4;

/// With a backlog, one batch in so many may be made smaller because a full one would be late for a member. If all
/// could, the queue would grow, the next members would have still less time, and batches would stay small.
const FULL_BATCHES: u32 = 8;

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

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// What one run of the whole batch took. None when it failed or was run in parts: nothing is to
    /// be learned from that.
    pub execution: Option<Duration>,
    /// Members that failed with nobody beside them.
    pub guilty: Vec<Fingerprint>,
    /// The number of rows for which there was no memory.
    pub out_of_memory: Option<usize>,
}

/// Forms batches, for whoever leads. One exists for each queue.
pub struct Batcher {
    arrivals: Arc<Arrivals<Member>>,
    batching: Arc<Batching>,
    forecast: Arc<Forecast>,
    rule: Box<dyn Rule>,
    learned: Learned,
    quarantine: Quarantine,
    buckets: HashMap<u64, Bucket, FixedState>,
    spare: Vec<Bucket>,
    running: Vec<Ticket>,
    /// When a run ended last.
    ended: Option<Instant>,
    instances: usize,
    /// Batches from a backlog since one of them was made smaller for a member's target.
    full_batches: u32,
    /// Rows ever taken out of `arrivals`, and rows that have left again.
    taken: u64,
    left: u64,
    /// The place of the next arrival, and the number of the next batch.
    next_place: u64,
    next_batch: u64,
    /// Further rows without which another step is pointless.
    wanted: u64,
    knows_closed: bool,
}

impl Batcher {
    pub(crate) fn new(
        arrivals: Arc<Arrivals<Member>>,
        batching: Arc<Batching>,
        forecast: Arc<Forecast>,
        rule: Option<Box<dyn Rule>>,
    ) -> Self {
        let rule = rule.unwrap_or_else(|| match &*batching {
            Batching::Rows { policy, .. } => rule::of(policy),
            Batching::Unbatched => Box::new(rule::OneByOne),
        });
        Self {
            arrivals,
            batching,
            forecast,
            rule,
            learned: Learned::default(),
            quarantine: Quarantine::default(),
            buckets: HashMap::default(),
            spare: Vec::new(),
            running: Vec::new(),
            ended: None,
            instances: 1,
            full_batches: FULL_BATCHES,
            taken: 0,
            left: 0,
            next_place: 0,
            next_batch: 0,
            wanted: 1,
            knows_closed: false,
        }
    }

    /// How many batches can run at the same time.
    pub fn set_instances(&mut self, instances: usize) {
        self.instances = instances.max(1);
    }

    /// What warm-up has measured for requests of the shape of `inputs`: rows of a batch, and its time.
    pub fn seed(&mut self, inputs: &[Tensor], points: &[(usize, Duration)], now: Instant) {
        let key = self.batching.bucket(inputs);
        self.learned.seed(key, bytes_in_a_row(inputs, &self.batching), Curve::through(points));
        self.forecast.run_ended(now);
        self.publish(key);
    }

    /// Called with the instant by whoever finds the queue full, before it gives up: somebody who can
    /// lock the batcher should call [`Batcher::sweep`], and say whether it did.
    pub fn on_full(&self, sweep: impl Fn(Instant) -> bool + Send + Sync + 'static) {
        self.arrivals.on_full(Box::new(sweep));
    }

    /// Makes room: answers the late and forgets the departed, without forming a batch. Unlike
    /// [`Batcher::step`] it leaves the sleeper registered.
    pub fn sweep(&mut self, now: Instant) {
        self.take_arrivals(now);
        for bucket in self.buckets.values_mut() {
            drop_stale(bucket, now, &self.arrivals, &self.forecast, &mut self.left);
        }
        self.remove_empty();
        self.forecast.rows_left(self.left);
    }

    /// Decides, as of `now`.
    pub fn step(&mut self, now: Instant) -> Step {
        self.arrivals.awake();
        // Read before the arrivals are taken: what was pushed before the closing is then seen.
        self.knows_closed = self.arrivals.is_closed();
        self.take_arrivals(now);
        let step = self.decide(now);
        self.forecast.rows_left(self.left);
        step
    }

    /// Ready when another [`Batcher::step`] is worthwhile: enough rows arrived to complete a batch, the
    /// queue closed, or the last batch left requests behind. Otherwise the waker is registered, and
    /// stays so until the next step.
    pub fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.arrivals.poll_pushed(context, self.taken + self.wanted, self.knows_closed)
    }

    /// Tells how a dispatched batch went. To be called once for each, before the instance that ran it
    /// asks again.
    pub fn finished(&mut self, ticket: Ticket, run: Run, now: Instant) {
        self.running.retain(|running| running.number != ticket.number);
        for fingerprint in run.guilty {
            self.quarantine.failed_alone(fingerprint, now);
        }
        if let Some(rows) = run.out_of_memory {
            self.learned.out_of_memory(ticket.key, rows, now);
        }
        if let Some(execution) = run.execution {
            self.learned.observe(ticket.key, ticket.rows, execution);
            self.ended = Some(now);
            // Its callers have their answers before `now`, and the first of them may be back: the rule hears of them later.
            let at = ticket.dispatched + execution;
            self.rule.ended(Ended { rows: ticket.rows, execution, at });
            self.forecast.run_ended(now);
            self.publish(ticket.key);
        }
        self.take_arrivals(now);
        self.publish_free_at();
    }

    /// What was learned of requests of the shape of `inputs`.
    pub fn curve(&self, inputs: &[Tensor]) -> Option<&Curve> {
        self.learned.curve(self.batching.bucket(inputs))
    }

    fn take_arrivals(&mut self, now: Instant) {
        let mut suspicious = None;
        while let Some(mut member) = self.arrivals.pop() {
            self.taken += member.rows as u64;
            if *suspicious.get_or_insert_with(|| self.quarantine.is_in_force(now)) {
                member.is_apart = self.quarantine.holds(Fingerprint::of(&member.inputs));
            }
            self.rule.arrived(member.rows, member.enqueued);
            let mut key = member.bucket;
            while self.holds_another_kind(key, &member) {
                // Two shapes with one hash, or one that is kept apart: the next number is taken.
                key = key.wrapping_add(1);
            }
            let bucket =
                self.buckets.entry(key).or_insert_with(|| self.spare.pop().unwrap_or_default());
            bucket.push(Waiting { place: self.next_place, member });
            self.next_place += 1;
        }
    }

    fn holds_another_kind(&self, key: u64, member: &Member) -> bool {
        let Some(other) = self.buckets.get(&key).and_then(Bucket::any) else { return false };
        let agree = match &*self.batching {
            Batching::Rows { layout, .. } => layout.agree(&other.inputs, &member.inputs),
            Batching::Unbatched => true,
        };
        !agree || other.is_apart != member.is_apart
    }

    fn decide(&mut self, now: Instant) -> Step {
        loop {
            let mut first: Option<(Urgency, u64, usize, CloseReason)> = None;
            let mut wait: Option<(Instant, usize)> = None;
            let in_system = self.rows_in_system();
            let idle_instances = self.instances.saturating_sub(self.running.len()).max(1);
            let Self { buckets, rule, learned, arrivals, forecast, left, .. } = self;
            for (key, bucket) in buckets.iter_mut() {
                let Some(first_member) = bucket.any() else { continue };
                let max_rows = if first_member.is_apart { 1 } else { self.batching.max_rows() };
                let row_bytes = || bytes_in_a_row(&first_member.inputs, &self.batching);
                let shape = learned.shape(*key, row_bytes);
                let max_rows = shape.memory_limit(max_rows, now);
                let limit = if rule.is_sized_by_cost() {
                    shape.curve.limit(bucket.rows(), max_rows)
                } else {
                    max_rows
                };
                if bucket.requests() <= SEARCHED * limit {
                    drop_stale(bucket, now, arrivals, forecast, left);
                }
                bucket.age(now);
                let (Some(oldest), Some(target), Some(urgency)) =
                    (bucket.oldest(), bucket.first_target(), bucket.urgency())
                else {
                    continue;
                };
                let decision = rule.decide(&Situation {
                    now,
                    rows: bucket.rows(),
                    oldest,
                    target,
                    in_system,
                    idle_instances,
                    limit,
                    curve: &shape.curve,
                    closing: self.knows_closed,
                });
                match decision {
                    Decision::Go { rows, why } => {
                        if first.as_ref().is_none_or(|(most, ..)| urgency < *most) {
                            first = Some((urgency, *key, rows, why));
                        }
                    }
                    Decision::Wait { until, rows } => {
                        let (soonest, fewest) = wait.unwrap_or((until, rows));
                        wait = Some((soonest.min(until), fewest.min(rows)));
                    }
                }
            }
            self.remove_empty();
            match (first, wait) {
                (Some((_, key, rows, why)), _) => {
                    if let Some(batch) = self.form(key, rows, why, now) {
                        // What is left behind may be due as well: the next step need not wait.
                        self.wanted = u64::from(self.buckets.is_empty());
                        return Step::Dispatch(batch);
                    }
                }
                (None, Some((until, rows))) => {
                    self.wanted = rows.max(1) as u64;
                    return Step::WaitUntil(until);
                }
                (None, None) => {
                    self.wanted = 1;
                    let finished = self.arrivals.is_finished();
                    return if finished { Step::Closed } else { Step::Idle };
                }
            }
        }
    }

    fn rows_in_system(&self) -> usize {
        let running: usize = self.running.iter().map(|ticket| ticket.rows).sum();
        running + self.buckets.values().map(Bucket::rows).sum::<usize>()
    }

    /// Takes a batch out of a bucket. None when nobody in it is still to be run.
    fn form(&mut self, key: u64, limit: usize, why: CloseReason, now: Instant) -> Option<Batch> {
        let is_contended = self.buckets.values().map(Bucket::requests).sum::<usize>() > 1;
        let Self {
            buckets,
            learned,
            rule,
            arrivals,
            forecast,
            left,
            ended,
            full_batches,
            instances,
            running,
            ..
        } = self;
        let bucket = buckets.get_mut(&key)?;
        let curve = learned.curve(key).filter(|_| rule.is_sized_by_cost());
        let is_believed = ended.is_some_and(|at| now.saturating_duration_since(at) < BELIEVED);
        let others_idle = *instances > running.len() + 1;
        let has_backlog = bucket.rows() >= limit;
        let may_shrink = !has_backlog || *full_batches >= FULL_BATCHES;
        let mut members = Vec::with_capacity(bucket.requests().min(limit));
        let mut timing = Timing {
            curve,
            condemns: is_believed && is_contended,
            planned: if may_shrink { None } else { Some(limit) },
            now,
            until: None,
        };
        let (mut rows, mut closed_by) = (0, why);
        while let Some(next) = bucket.first() {
            let end = timing.end_of(next);
            if end.is_none() && rows > 0 {
                if rows + next.rows > limit {
                    closed_by = if why == CloseReason::Unbatched { why } else { CloseReason::Cap };
                    break;
                }
                if !timing.allows(rows + next.rows) {
                    if timing.can_leave(rows, next, bucket.rows().min(limit), others_idle) {
                        closed_by = CloseReason::Deadline;
                        break;
                    }
                    timing.until = None;
                }
            }
            let Some(member) = bucket.pop_first() else { break };
            arrivals.release(1);
            *left += member.rows as u64;
            forecast.levels().left(member.terms.priority, member.rows);
            match end {
                Some(end) => discard(member, end, now),
                None => {
                    rows += member.rows;
                    timing.admit(&member, rows);
                    let is_apart = member.is_apart;
                    members.push(member);
                    if is_apart {
                        closed_by = CloseReason::Apart;
                        break;
                    }
                }
            }
        }
        if has_backlog {
            let shrunk = closed_by == CloseReason::Deadline;
            *full_batches = if shrunk { 0 } else { full_batches.saturating_add(1) };
        }
        self.remove_empty();
        if members.is_empty() {
            return None;
        }
        let ticket = Ticket { number: self.next_batch, key, rows, dispatched: now };
        self.next_batch += 1;
        self.running.push(ticket);
        self.publish_free_at();
        Some(Batch::new(members, closed_by, ticket, Arc::clone(&self.batching)))
    }

    fn remove_empty(&mut self) {
        let spare = &mut self.spare;
        self.buckets.retain(|_, bucket| {
            if bucket.is_empty() && spare.len() < SPARE {
                spare.push(std::mem::take(bucket));
                return false;
            }
            !bucket.is_empty()
        });
    }

    fn publish(&self, key: u64) {
        let Some(curve) = self.learned.curve(key) else { return };
        let max_rows = self.batching.max_rows();
        let full = curve.full(max_rows);
        let (Some(full_takes), Some(one_takes), Some(one_takes_at_worst)) =
            (curve.typical(full), curve.typical(1), curve.slow(1))
        else {
            return;
        };
        let instances = self.instances;
        self.forecast.learned(&Outlook {
            full,
            full_takes,
            one_takes,
            one_takes_at_worst,
            instances,
        });
    }

    fn publish_free_at(&self) {
        if self.running.len() < self.instances {
            return self.forecast.free_at(None);
        }
        let ends = self.running.iter().map(|ticket| {
            let takes = self.learned.curve(ticket.key).and_then(|curve| curve.typical(ticket.rows));
            ticket.dispatched + takes.unwrap_or_default()
        });
        self.forecast.free_at(ends.min());
    }
}

/// Why a request ends without running.
#[derive(Clone, Copy)]
enum End {
    Gone,
    Late,
    /// Its run would end too late.
    WouldBeLate(Duration),
}

/// What the members of a batch that is being formed allow.
struct Timing<'a> {
    curve: Option<&'a Curve>,
    /// Whether the curve may condemn a request unrun: it is believed, and others want the instance.
    condemns: bool,
    /// The rows of the batch in any case, or only as many as are in time.
    planned: Option<usize>,
    now: Instant,
    /// By when the first of them should be answered, of those for whom that is possible.
    until: Option<Instant>,
}

impl Timing<'_> {
    fn end_of(&self, member: &Member) -> Option<End> {
        if member.reply.is_caller_gone() {
            return Some(End::Gone);
        }
        let deadline = member.terms.deadline;
        if deadline.is_past(self.now) {
            return Some(End::Late);
        }
        let rows = self.planned.unwrap_or(member.rows);
        let run = self.curve.filter(|_| self.condemns)?.at_best(rows)?;
        deadline.is_past(self.now + run).then_some(End::WouldBeLate(run))
    }

    fn allows(&self, rows: usize) -> bool {
        let Some(until) = self.until else { return true };
        self.run_end(rows).is_none_or(|end| end <= until)
    }

    /// Whether those who would be left behind, `next` and the others, could still be in time after a run of `rows` rows.
    /// If not, a smaller batch only makes everybody late one after the other.
    fn can_leave(&self, rows: usize, next: &Member, rest: usize, others_idle: bool) -> bool {
        let after = if others_idle { Some(self.now) } else { self.run_end(rows) };
        let end = after.zip(self.curve.and_then(|curve| curve.slow(rest)));
        end.is_none_or(|(after, takes)| after + takes <= next.terms.target.instant())
    }

    fn admit(&mut self, member: &Member, rows: usize) {
        let target = member.terms.target.instant();
        let is_possible = self.run_end(rows).is_some_and(|end| end <= target);
        if is_possible && self.planned.is_none() {
            self.until = Some(self.until.map_or(target, |until| until.min(target)));
        }
    }

    fn run_end(&self, rows: usize) -> Option<Instant> {
        self.curve?.slow(rows).map(|run| self.now + run)
    }
}

fn drop_stale(
    bucket: &mut Bucket,
    now: Instant,
    arrivals: &Arrivals<Member>,
    forecast: &Forecast,
    left: &mut u64,
) {
    bucket.take_all(
        |member| is_stale(member, now),
        |member| {
            arrivals.release(1);
            *left += member.rows as u64;
            forecast.levels().left(member.terms.priority, member.rows);
            discard(member, End::Late, now);
        },
    );
}

fn is_stale(member: &Member, now: Instant) -> bool {
    member.terms.deadline.is_past(now) || member.reply.is_caller_gone()
}

/// Ends a request without running it. Whoever is gone does not read why.
fn discard(member: Member, end: End, now: Instant) {
    let waited = now.saturating_duration_since(member.enqueued);
    let message = match end {
        End::Gone | End::Late => {
            format!("Request timeout expired: its deadline passed after {waited:?} in the queue")
        }
        End::WouldBeLate(run) => format!(
            "Request timeout expired: after {waited:?} in the queue, a run of {run:?} would end past its deadline"
        ),
    };
    member.reply.send(Err(Error::new(ErrorKind::DeadlineExceeded, message)));
}

fn bytes_in_a_row(inputs: &[Tensor], batching: &Batching) -> usize {
    let bytes: usize = inputs.iter().map(Tensor::byte_size).sum();
    bytes / batching.rows(inputs).unwrap_or(1).max(1)
}
