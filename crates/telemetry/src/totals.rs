//! Where the time of a version's requests and batches went, in nanoseconds: the source of its statistics, and so
//! of Triton's cumulative counters.
//!
//! Requests add to atomics; relaxed, since they guard nothing. A scrape that comes in between two additions sees
//! one of them, and the other the next time. What is kept by the size of the batch lies behind a lock, which
//! only workers and scrapes take: a worker once a batch, for one look into a small map, after its callers were
//! answered. An array of counters would need no lock, but for a cap that is set to ten thousand it would be large
//! and nearly empty.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tidegate_inference::{BatchStatistics, Stage, Statistics, Timeline, Total};

/// So many different sizes are told apart; batches of further ones count, but have no line of their own.
const MOST_SIZES: usize = 4096;

#[derive(Debug, Default)]
pub struct Totals {
    success: Sum,
    fail: Sum,
    compute_input: Sum,
    compute_infer: Sum,
    compute_output: Sum,
    executions: Mutex<Executions>,
}

/// What is counted elsewhere already.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub responses: u64,
    pub failures: u64,
    pub rows: u64,
    /// Time in the queue of the requests that ended in a response.
    pub queue_ns: u64,
}

#[derive(Debug, Default)]
struct Executions {
    last: u64,
    count: u64,
    by_rows: BTreeMap<u64, BatchStatistics>,
}

#[derive(Debug, Default)]
struct Sum(AtomicU64);

impl Sum {
    fn add(&self, took: Option<Duration>) {
        let Some(took) = took else { return };
        self.0.fetch_add(nanos(took), Ordering::Relaxed);
    }

    fn of(&self, count: u64) -> Total {
        Total { count, ns: self.0.load(Ordering::Relaxed) }
    }
}

impl Totals {
    /// Charges a request that ended in a response with its own time and with all of its batch's. The clock starts,
    /// as Triton's does, when the request is there to be worked on: how long its caller took to send it is not
    /// the server's time.
    pub fn responded(&self, timeline: &Timeline) {
        let start = timeline.first_reached([Stage::Decoded, Stage::Received]);
        let end = timeline.first_reached([Stage::Encoded, Stage::Scattered]);
        self.success.add(start.zip(end).and_then(|(start, end)| timeline.between(start, end)));
        self.compute_input.add(timeline.between(Stage::Dispatched, Stage::Gathered));
        self.compute_infer.add(timeline.between(Stage::Gathered, Stage::Executed));
        self.compute_output.add(timeline.between(Stage::Executed, Stage::Scattered));
    }

    /// A request ended otherwise.
    pub fn failed(&self, took: Duration) {
        self.fail.add(Some(took));
    }

    /// A batch was executed just now.
    pub fn executed(&self, rows: usize, gather: Duration, execute: Duration, scatter: Duration) {
        let rows = rows as u64;
        let now = milliseconds_since_1970();
        let mut executions = self.executions();
        executions.count += 1;
        executions.last = executions.last.max(now);
        let room = executions.by_rows.len() < MOST_SIZES;
        if !room && !executions.by_rows.contains_key(&rows) {
            return;
        }
        let batches = executions.by_rows.entry(rows).or_default();
        batches.rows = rows;
        batches.compute_input.add(gather);
        batches.compute_infer.add(execute);
        batches.compute_output.add(scatter);
    }

    pub fn statistics(&self, counted: Counted) -> Statistics {
        let Counted { responses, failures, rows, queue_ns } = counted;
        let executions = self.executions();
        Statistics {
            last_inference: executions.last,
            inference_count: rows,
            execution_count: executions.count,
            success: self.success.of(responses),
            fail: self.fail.of(failures),
            queue: Total { count: responses, ns: queue_ns },
            compute_input: self.compute_input.of(responses),
            compute_infer: self.compute_infer.of(responses),
            compute_output: self.compute_output.of(responses),
            batches: executions.by_rows.values().copied().collect(),
        }
    }

    fn executions(&self) -> MutexGuard<'_, Executions> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// By the wall clock, which statistics show; nothing is measured with it. A clock that stands before 1970 says 0.
fn milliseconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const NOTHING: Counted = Counted { responses: 0, failures: 0, rows: 0, queue_ns: 0 };

    /// Stages ten milliseconds apart, from the head to the encoded answer.
    fn timeline() -> Timeline {
        let start = Instant::now();
        let mut timeline = Timeline::starting(start);
        let stages = [
            Stage::Decoded,
            Stage::Enqueued,
            Stage::Dispatched,
            Stage::Gathered,
            Stage::Executed,
            Stage::Scattered,
            Stage::Encoded,
        ];
        for (stage, step) in stages.into_iter().zip(1..) {
            timeline.stamp(stage, start + Duration::from_millis(10 * step));
        }
        timeline
    }

    #[test]
    fn the_parts_of_a_request_are_all_of_it_but_the_hand_overs() {
        let (totals, timeline) = (Totals::default(), timeline());
        totals.responded(&timeline);
        let queue_ns = nanos(timeline.queue_delay().unwrap());
        let statistics = totals.statistics(Counted { responses: 1, queue_ns, ..NOTHING });
        let Statistics { success, queue, compute_input, compute_infer, compute_output, .. } =
            statistics;
        let parts = [queue, compute_input, compute_infer, compute_output];
        assert!(parts.iter().all(|part| part.count == 1));
        let hand_overs = [(Stage::Decoded, Stage::Enqueued), (Stage::Scattered, Stage::Encoded)]
            .map(|(from, to)| nanos(timeline.between(from, to).unwrap()));
        let explained: u64 = parts.iter().map(|part| part.ns).chain(hand_overs).sum();
        assert_eq!(success, Total { count: 1, ns: explained });
    }

    #[test]
    fn batches_are_kept_apart_by_their_rows_the_fewest_first() {
        let totals = Totals::default();
        let ms = Duration::from_millis;
        for (rows, execute) in [(8, 5), (2, 1), (8, 7)] {
            totals.executed(rows, ms(1), ms(execute), ms(2));
        }
        let statistics = totals.statistics(NOTHING);
        assert_eq!(statistics.execution_count, 3);
        let told = statistics.batches.iter().map(|batch| (batch.rows, batch.compute_infer));
        let total = |count, ms: u64| Total { count, ns: ms * 1_000_000 };
        assert_eq!(told.collect::<Vec<_>>(), [(2, total(1, 1)), (8, total(2, 12))]);
        assert_eq!(statistics.batches[1].compute_output, total(2, 4));
    }

    #[test]
    fn the_last_inference_is_when_a_batch_ran_and_not_when_one_was_asked_for() {
        let totals = Totals::default();
        totals.responded(&timeline());
        assert_eq!(totals.statistics(NOTHING).last_inference, 0);
        let before = milliseconds_since_1970();
        totals.executed(1, Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let last = totals.statistics(NOTHING).last_inference;
        assert!((before..=milliseconds_since_1970()).contains(&last), "{before} {last}");
    }

    #[test]
    fn there_is_a_bound_on_sizes_and_all_executions_are_counted() {
        let totals = Totals::default();
        for rows in 0..=MOST_SIZES {
            totals.executed(rows, Duration::ZERO, Duration::ZERO, Duration::ZERO);
        }
        totals.executed(0, Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let statistics = totals.statistics(NOTHING);
        assert_eq!(statistics.batches.len(), MOST_SIZES);
        assert_eq!(statistics.batches[0].compute_infer.count, 2);
        assert_eq!(statistics.execution_count, MOST_SIZES as u64 + 2);
    }
}
