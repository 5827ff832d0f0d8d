//! The rule that learns: whom it waits for, how long, and for whom it never does.

use std::time::Duration;

use tidegate_batcher::{Answer, Batch, Run, Step};
use tidegate_inference::{CloseReason, Deadline, ErrorKind};

use crate::bench::{Bench, MS, answered, name, tensor};

const US: Duration = Duration::from_micros(1);

/// A weight-bound model: a batch of 8 takes half as long again as a single row.
fn heavy(rows: usize) -> Duration {
    5_600 * US + 400 * US * rows as u32
}

/// Rows in proportion to time: batches gain nothing.
fn linear(rows: usize) -> Duration {
    9 * MS * rows as u32
}

fn taught(curve: fn(usize) -> Duration) -> Bench {
    Bench::taught(64, &[1, 2, 4, 8, 16, 32, 64].map(|rows| (rows, curve(rows))))
}

/// Callers of one instance that ask again as soon as they are answered, each `gap` after the one before.
struct ClosedLoop {
    bench: Bench,
    curve: fn(usize) -> Duration,
    gap: Duration,
    waiting: Vec<Answer>,
}

impl ClosedLoop {
    fn of(curve: fn(usize) -> Duration, gap: Duration) -> Self {
        Self { bench: taught(curve), curve, gap, waiting: Vec::new() }
    }

    /// `callers` requests come, one after the other; a batch that is due in between goes. Says what went,
    /// and how long the instance was idle with somebody waiting.
    fn round(&mut self, callers: usize) -> (Vec<Batch>, Duration) {
        let mut went = Vec::new();
        let mut idle = Duration::ZERO;
        for _ in 0..callers {
            self.bench.later(self.gap);
            self.waiting.push(self.bench.submit(1));
            if went.is_empty() {
                match self.bench.step() {
                    Step::Dispatch(batch) => went.push(batch),
                    Step::WaitUntil(until) => {
                        assert!(until > self.bench.now, "a wait that is over already");
                        idle += self.gap;
                    }
                    other => panic!("expected a batch or a wait, got {}", name(&other)),
                }
            }
        }
        while went.is_empty() {
            match self.bench.step() {
                Step::Dispatch(batch) => went.push(batch),
                Step::WaitUntil(until) => {
                    idle += until - self.bench.now;
                    self.bench.now = until;
                }
                other => panic!("expected a batch, got {}", name(&other)),
            }
        }
        (went, idle)
    }

    /// Runs what went; its callers come again in the next round.
    fn run(&mut self, batches: Vec<Batch>) -> usize {
        let mut answered = 0;
        for batch in batches {
            answered += batch.rows();
            let took = (self.curve)(batch.rows());
            self.bench.ran(batch, took);
        }
        self.waiting.retain_mut(|answer| futures_util::FutureExt::now_or_never(answer).is_none());
        answered
    }
}

#[test]
fn a_lone_caller_never_waits() {
    let mut lone = ClosedLoop::of(heavy, 100 * US);
    for _ in 0..100 {
        let (went, idle) = lone.round(1);
        assert_eq!(idle, Duration::ZERO);
        assert_eq!(lone.run(went), 1);
    }
}

#[test]
fn callers_that_were_answered_together_run_together_again() {
    let mut crowd = ClosedLoop::of(heavy, 50 * US);
    let mut coming = 8;
    let mut rows = Vec::new();
    for _ in 0..20 {
        let (went, _) = crowd.round(coming);
        coming = crowd.run(went);
        rows.push(coming);
    }
    // At first the one that comes first leaves alone; then they are known.
    assert_eq!(rows[0], 1);
    assert_eq!(rows[5..], [8; 15]);
}

#[test]
fn two_callers_that_take_turns_find_together() {
    let mut bench = taught(heavy);
    let mut rows = Vec::new();
    let _first = bench.submit(1);
    let mut batch = bench.dispatched();
    let mut others = vec![bench.submit(1)];
    for _ in 0..10 {
        let answered = batch.rows();
        rows.push(answered);
        bench.ran(batch, heavy(answered));
        // The one that waits may go, or wait for those who were just answered.
        batch = match bench.step() {
            Step::Dispatch(batch) => {
                bench.later(100 * US);
                others.push(bench.submit(1));
                batch
            }
            Step::WaitUntil(_) | Step::Idle => {
                bench.later(100 * US);
                others.extend((0..answered).map(|_| bench.submit(1)));
                bench.dispatched()
            }
            Step::Closed => panic!("the queue is open"),
        };
    }
    assert_eq!(rows[5..], [2; 5], "{rows:?}");
}

#[test]
fn two_groups_of_callers_that_take_turns_become_one() {
    let mut crowd = ClosedLoop::of(heavy, 50 * US);
    let bench = &mut crowd.bench;
    let mut answers: Vec<_> = (0..4).map(|_| bench.submit(1)).collect();
    let (mut waiting, mut rows) = (0, Vec::new());
    let mut batch = bench.dispatched();
    for _ in 0..20 {
        // During the run all the others come; who is answered comes back just after it.
        answers.extend((batch.rows() + waiting..8).map(|_| bench.submit(1)));
        let mut coming = batch.rows();
        waiting = 8 - coming;
        rows.push(coming);
        bench.ran(batch, heavy(coming));
        batch = loop {
            match bench.step() {
                Step::Dispatch(batch) => break batch,
                Step::WaitUntil(_) | Step::Idle => {
                    assert!(coming > 0, "nobody is left to come");
                    bench.later(50 * US);
                    answers.push(bench.submit(1));
                    (coming, waiting) = (coming - 1, waiting + 1);
                }
                other => panic!("expected a batch or a wait, got {}", name(&other)),
            }
        };
        waiting -= batch.rows();
    }
    assert_eq!(rows[10..], [8; 10], "{rows:?}");
}

#[test]
fn a_caller_that_left_is_missed_once() {
    let mut crowd = ClosedLoop::of(heavy, 50 * US);
    let mut coming = 8;
    for _ in 0..10 {
        let (went, _) = crowd.round(coming);
        coming = crowd.run(went);
    }
    let (went, idle) = crowd.round(7);
    // No longer than taking turns with it would have cost everybody.
    assert!(idle <= 50 * US + heavy(7) + heavy(1) - heavy(8), "{idle:?}");
    assert_eq!(went[0].closed_by(), CloseReason::Delay);
    assert_eq!(crowd.run(went), 7);
    let (went, idle) = crowd.round(7);
    assert_eq!(idle, 6 * 50 * US);
    assert_eq!((went[0].rows(), went[0].closed_by()), (7, CloseReason::Eager));
}

#[test]
fn callers_that_come_one_by_one_are_not_waited_for_longer_than_a_run_takes() {
    let mut bench = taught(heavy);
    let mut answers = Vec::new();
    for _ in 0..5 {
        bench.later(50 * US);
        answers = (0..40).map(|_| bench.submit(1)).collect();
        let batch = bench.dispatched();
        assert_eq!(batch.rows(), 40);
        bench.ran(batch, heavy(40));
    }
    // However soon each comes after the one before.
    answers.push(bench.submit(1));
    let mut waited = Duration::ZERO;
    let batch = loop {
        match bench.step() {
            Step::Dispatch(batch) => break batch,
            Step::WaitUntil(until) => {
                let next = until.min(bench.now + 2 * MS);
                waited += next - bench.now;
                let comes = next < until;
                bench.now = next;
                if comes {
                    answers.push(bench.submit(1));
                }
            }
            other => panic!("expected a batch or a wait, got {}", name(&other)),
        }
    };
    assert!(batch.rows() > 2, "nobody was waited for");
    assert!(waited <= heavy(batch.rows()), "{waited:?} for {} rows", batch.rows());
}

#[test]
fn who_is_back_before_the_run_is_reported_is_one_of_those_expected() {
    let mut bench = taught(heavy);
    let mut answers: Vec<_> = (0..8).map(|_| bench.submit(1)).collect();
    let mut batch = bench.dispatched();
    for round in 0..20 {
        let ticket = batch.ticket();
        bench.now += heavy(8);
        bench.echo(batch);
        answers.clear();
        // Four have their answers and ask again while the worker is still on its way to the batcher.
        answers.extend((0..4).map(|_| {
            bench.later(20 * US);
            bench.submit(1)
        }));
        let run = Run { execution: Some(heavy(8)), ..Run::default() };
        bench.batcher.finished(ticket, run, bench.now);
        if round > 0 {
            assert!(matches!(bench.step(), Step::WaitUntil(_)), "round {round}");
        }
        bench.later(20 * US);
        answers.extend((0..4).map(|_| bench.submit(1)));
        batch = bench.dispatched();
        assert_eq!((batch.rows(), batch.closed_by()), (8, CloseReason::Eager));
    }
}

#[test]
fn most_callers_and_a_few_that_take_turns_become_one() {
    let mut bench = taught(heavy);
    let mut answers: Vec<_> = (0..2).map(|_| bench.submit(1)).collect();
    let (mut batch, mut rows) = (bench.dispatched(), Vec::new());
    answers.extend((0..62).map(|_| bench.submit(1)));
    for round in 0..20 {
        let coming = batch.rows();
        rows.push(coming);
        bench.ran(batch, heavy(coming));
        answers.retain_mut(|answer| futures_util::FutureExt::now_or_never(answer).is_none());
        // Who is answered asks again in the next five milliseconds, which is most of the shorter run.
        let mut left = coming;
        batch = loop {
            match bench.step() {
                Step::Dispatch(batch) => break batch,
                Step::WaitUntil(_) | Step::Idle => {
                    bench.later(5 * MS / coming as u32);
                    answers.push(bench.submit(1));
                    left -= 1;
                }
                other => panic!("expected a batch or a wait, got {}", name(&other)),
            }
        };
        let went = bench.now;
        if round == 0 {
            // The few are held up once, and so do not seem to belong to a circle.
            bench.later(heavy(62) * 3 / 4);
        }
        for _ in 0..left {
            bench.later(5 * MS / coming as u32);
            answers.push(bench.submit(1));
        }
        bench.now = went;
    }
    assert_eq!(rows[10..], [64; 10], "{rows:?}");
}

#[test]
fn callers_by_chance_are_waited_for_never() {
    // Exponential gaps; with the first the instance is mostly idle, with the last every run is of a dozen.
    for mean_gap in [8 * MS, 3 * MS, MS, 700 * US] {
        let mut bench = taught(heavy);
        let (mut state, mut answers) = (1_u64, Vec::new());
        let mut gap = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            mean_gap.mul_f64(-(((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64).ln())
        };
        let mut next = bench.now + gap();
        for _ in 0..500 {
            bench.now = bench.now.max(next);
            while next <= bench.now {
                let (now, at) = (bench.now, next);
                bench.now = at;
                answers.push(bench.submit(1));
                (bench.now, next) = (now, at + gap());
            }
            let batch = bench.dispatched();
            assert_ne!(batch.closed_by(), CloseReason::Delay);
            let took = heavy(batch.rows());
            // Who comes during the run is in the queue when it ends.
            let ends = bench.now + took;
            while next <= ends {
                let now = bench.now;
                bench.now = next;
                answers.push(bench.submit(1));
                (bench.now, next) = (now, next + gap());
            }
            bench.ran(batch, took);
            answers.retain_mut(|answer| futures_util::FutureExt::now_or_never(answer).is_none());
        }
    }
}

#[test]
fn a_model_of_microseconds_waits_for_nobody() {
    let mut crowd = ClosedLoop::of(|_| 10 * US, 5 * US);
    let mut coming = 8;
    for _ in 0..50 {
        let (went, idle) = crowd.round(coming);
        assert_eq!(idle, Duration::ZERO);
        coming = crowd.run(went);
    }
}

#[test]
fn where_batches_gain_nothing_rows_run_one_by_one() {
    let mut crowd = ClosedLoop::of(linear, 50 * US);
    let mut coming = 8;
    let mut rows = Vec::new();
    for _ in 0..50 {
        let (went, idle) = crowd.round(coming);
        assert_eq!(idle, Duration::ZERO);
        coming = crowd.run(went);
        rows.push(coming);
    }
    // But for a few looks whether that is still so.
    assert!(rows.iter().filter(|rows| **rows == 1).count() >= 46, "{rows:?}");
}

#[test]
fn a_backlog_goes_in_batches_of_the_knee() {
    let knee_at_8 = |rows: usize| if rows <= 8 { 8 * MS } else { MS * rows as u32 };
    let mut bench = taught(knee_at_8);
    let _answers: Vec<_> = (0..40).map(|_| bench.submit(1)).collect();
    for _ in 0..5 {
        let batch = bench.dispatched();
        assert_eq!(batch.rows(), 8);
        bench.ran(batch, 8 * MS);
    }
}

#[test]
fn a_deep_backlog_goes_past_the_knee_where_that_gives_a_little_more() {
    let rises_slowly = |rows: usize| if rows <= 8 { 8 * MS } else { 969 * US * rows as u32 };
    let waiting = |rows: usize| {
        let mut bench = taught(rises_slowly);
        let _answers: Vec<_> = (0..rows).map(|_| bench.submit(1)).collect();
        bench.dispatched().rows()
    };
    assert_eq!([12, 15, 16, 40].map(waiting), [8, 8, 16, 16]);
}

#[test]
fn company_that_stays_away_time_after_time_is_hardly_waited_for_any_more() {
    let mut bench = taught(heavy);
    let mut waits = Vec::new();
    for cycle in 0..60 {
        // Three pairs, then one alone.
        for rows in [2, 2, 2, 1] {
            let _answers: Vec<_> = (0..rows)
                .map(|_| {
                    bench.later(50 * US);
                    bench.submit(1)
                })
                .collect();
            let batch = match bench.step() {
                Step::Dispatch(batch) => batch,
                Step::WaitUntil(until) => {
                    waits.push(cycle);
                    bench.now = until;
                    bench.dispatched()
                }
                other => panic!("expected a batch or a wait, got {}", name(&other)),
            };
            bench.ran(batch, heavy(rows));
        }
    }
    let early = waits.iter().filter(|cycle| **cycle < 20).count();
    let late = waits.iter().filter(|cycle| **cycle >= 40).count();
    assert!(early >= 4 && late <= 2, "{waits:?}");
}

#[test]
fn nobody_is_waited_for_while_another_instance_is_idle() {
    let mut bench = taught(heavy);
    bench.batcher.set_instances(2);
    for _ in 0..10 {
        let _answers: Vec<_> = (0..8)
            .map(|_| {
                bench.later(50 * US);
                bench.submit(1)
            })
            .collect();
        let both = [bench.dispatched(), bench.dispatched()];
        for batch in both {
            bench.ran(batch, heavy(4));
        }
    }
    bench.later(50 * US);
    let _one = bench.submit(1);
    assert_eq!(bench.dispatched().rows(), 1);
}

#[test]
fn idle_instances_share_a_full_batch_too() {
    let mut bench = taught(heavy);
    bench.batcher.set_instances(2);
    let _answers: Vec<_> = (0..64).map(|_| bench.submit(1)).collect();
    assert_eq!([bench.dispatched().rows(), bench.dispatched().rows()], [32, 32]);
}

#[test]
fn an_unknown_model_is_run_eagerly() {
    let mut bench = Bench::taught(64, &[]);
    let _answers = [bench.submit(1), bench.submit(1)];
    assert_eq!(bench.dispatched().rows(), 2);
}

#[test]
fn idle_instances_share_what_waits_when_that_is_quicker() {
    let mut bench = taught(|rows| MS + MS * rows as u32 / 2);
    bench.batcher.set_instances(2);
    let _answers: Vec<_> = (0..8).map(|_| bench.submit(1)).collect();
    assert_eq!(bench.dispatched().rows(), 4);
    assert_eq!(bench.dispatched().rows(), 4);
    let mut bench = taught(|_| MS);
    bench.batcher.set_instances(2);
    let _answers: Vec<_> = (0..8).map(|_| bench.submit(1)).collect();
    assert_eq!(bench.dispatched().rows(), 8);
}

#[test]
fn nobody_is_waited_for_past_the_last_safe_moment() {
    let mut crowd = ClosedLoop::of(heavy, 50 * US);
    let mut coming = 8;
    for _ in 0..10 {
        let (went, _) = crowd.round(coming);
        coming = crowd.run(went);
    }
    // One of the eight is back, and has hardly time enough for the run.
    let bench = &mut crowd.bench;
    let tight = Deadline::after(bench.now, heavy(2) * 5 / 4);
    let _answer = bench.submit_until(tensor(&[1, 2], 0), tight).unwrap();
    let until = match bench.step() {
        Step::WaitUntil(until) => until,
        Step::Dispatch(batch) => {
            assert_eq!(batch.closed_by(), CloseReason::Deadline);
            return;
        }
        other => panic!("expected a wait, got {}", name(&other)),
    };
    assert!(until + heavy(1) < tight.instant(), "the run would end past the deadline");
    bench.now = until;
    assert_eq!(bench.dispatched().closed_by(), CloseReason::Deadline);
}

#[test]
fn a_batch_stops_growing_where_it_would_be_late_for_a_member() {
    let mut bench = taught(|rows| MS * rows as u32 / 2 + 4 * MS);
    let tight = Deadline::after(bench.now, 10 * MS);
    let _tight = bench.submit_until(tensor(&[1, 2], 0), tight).unwrap();
    let _others: Vec<_> = (0..40).map(|_| bench.submit(1)).collect();
    let batch = bench.dispatched();
    assert_eq!(batch.closed_by(), CloseReason::Deadline);
    // 24 rows would take 16 ms.
    assert!((2..=12).contains(&batch.rows()), "{}", batch.rows());
}

#[test]
fn who_is_late_in_any_case_makes_nobody_elses_batch_small() {
    let mut bench = taught(|rows| MS * rows as u32 / 2 + 4 * MS);
    let mut terms = tidegate_batcher::Terms::from(Deadline::after(bench.now, 1000 * MS));
    terms.target = Deadline::after(bench.now, MS);
    let _late = bench.submit_on(tensor(&[1, 2], 0), terms).unwrap();
    let _others: Vec<_> = (0..40).map(|_| bench.submit(1)).collect();
    assert_eq!(bench.dispatched().rows(), 41);
}

#[test]
fn a_request_whose_run_would_end_too_late_is_not_run_while_others_wait() {
    let mut bench = taught(heavy);
    let first = bench.submit(1);
    let batch = bench.dispatched();
    bench.ran(batch, heavy(1));
    assert!(answered(first).is_ok());
    let hopeless = || Deadline::after(bench.now, MS);
    let (until, input) = (hopeless(), tensor(&[1, 2], 0));
    let late = bench.submit_until(input.clone(), until).unwrap();
    let _other = bench.submit(1);
    assert_eq!(bench.dispatched().requests(), 1);
    assert_eq!(answered(late).unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    // Alone it costs nobody anything, and may be lucky.
    let _alone = bench.submit_until(input.clone(), until).unwrap();
    assert_eq!(bench.dispatched().requests(), 1);
    // What no run has confirmed for a second is tried again: it may have become faster.
    bench.later(1001 * MS);
    let until = Deadline::after(bench.now, MS);
    let _both = [bench.submit_until(input, until).unwrap(), bench.submit(1)];
    assert_eq!(bench.dispatched().requests(), 2);
}

#[test]
fn a_batch_is_made_smaller_only_if_those_left_behind_are_still_in_time() {
    let rows = |slack: Duration| {
        let bench = &mut taught(heavy);
        let terms = |left: Duration| {
            let deadline = Deadline::after(bench.now, 60_000 * MS);
            let target = Deadline::after(bench.now, left);
            tidegate_batcher::Terms { target, ..tidegate_batcher::Terms::from(deadline) }
        };
        let submit = |left| bench.submit_on(tensor(&[1, 2], 0), terms(left)).unwrap();
        // Four have time for a run of four and little more, sixteen for so much.
        let urgent = (0..4).map(|_| submit(heavy(5) * 13 / 10));
        let _answers: Vec<_> = urgent.chain((0..16).map(|_| submit(slack))).collect();
        bench.dispatched().rows()
    };
    assert!(rows(100 * MS) < 8);
    assert_eq!(rows(heavy(20)), 20);
}

#[test]
fn under_overload_batches_stay_large_though_every_member_is_nearly_late() {
    let mut bench = taught(heavy);
    let mut rows = Vec::new();
    for _ in 0..20 {
        bench.batcher.sweep(bench.now);
        // All have just time enough for a small batch.
        let until = Deadline::after(bench.now, heavy(4) * 3 / 2);
        let mut terms = tidegate_batcher::Terms::from(Deadline::after(bench.now, 60_000 * MS));
        terms.target = until;
        let answers: Vec<_> = (0..64).map(|_| bench.submit_on(tensor(&[1, 2], 0), terms)).collect();
        let batch = bench.dispatched();
        rows.push(batch.rows());
        bench.ran(batch, heavy(8));
        drop(answers);
    }
    let small = rows.iter().filter(|rows| **rows < 32).count();
    assert!(small <= 3, "{rows:?}");
}

#[test]
fn the_forecast_counts_what_runs_and_what_waits() {
    let mut bench = taught(|rows| if rows <= 8 { 8 * MS } else { MS * rows as u32 });
    assert_eq!(bench.queue.predicted(1, None, bench.now), None);
    let _answers: Vec<_> = (0..24).map(|_| bench.submit(1)).collect();
    let running = bench.dispatched();
    bench.later(2 * MS);
    // 6 ms of the run are left, two batches wait, and one more takes 8 ms and a margin.
    let predicted = bench.queue.predicted(1, None, bench.now).unwrap();
    assert!((29 * MS..33 * MS).contains(&predicted), "{predicted:?}");
    drop(running);
}
