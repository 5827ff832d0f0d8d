//! Requests that failed, sizes that memory could not hold, and callers that left a full queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_batcher::{Batch, Run};
use tidegate_inference::{CloseReason, Error, ErrorKind};

use crate::bench::{Bench, MS, answered, tensor};

fn failed_alone(bench: &mut Bench, batch: Batch) {
    let (ticket, guilty) = (batch.ticket(), batch.fingerprints());
    batch.fail(&Error::new(ErrorKind::ModelFailed, "broken"));
    bench.batcher.finished(ticket, Run { guilty, ..Run::default() }, bench.now);
}

#[test]
fn a_request_that_failed_twice_runs_alone_and_the_others_do_not_wait_for_it() {
    let mut bench = Bench::new(1, 8, Duration::ZERO);
    let poison = || tensor(&[1, 2], 666);
    for _ in 0..2 {
        let _poison = bench.try_submit(poison()).unwrap();
        let batch = bench.dispatched();
        failed_alone(&mut bench, batch);
    }
    let _innocent: Vec<_> = (0..3).map(|_| bench.submit(1)).collect();
    let _poison = bench.try_submit(poison()).unwrap();
    let _more: Vec<_> = (0..3).map(|_| bench.submit(1)).collect();
    let mut facts: Vec<_> = (0..2).map(|_| bench.dispatched().facts()).collect();
    facts.sort_by_key(|facts| facts.requests);
    assert_eq!(facts[0].closed_by, CloseReason::Apart);
    assert_eq!(facts.iter().map(|facts| facts.requests).collect::<Vec<_>>(), [1, 6]);
    // Half a minute later it gets another chance.
    bench.later(31_000 * MS);
    let _both = [bench.try_submit(poison()).unwrap(), bench.submit(1)];
    assert_eq!(bench.dispatched().requests(), 2);
}

#[test]
fn one_failure_is_no_reason_to_run_alone() {
    let mut bench = Bench::new(1, 8, Duration::ZERO);
    let _poison = bench.submit(1);
    let batch = bench.dispatched();
    failed_alone(&mut bench, batch);
    let _both = [bench.submit(1), bench.submit(1)];
    assert_eq!(bench.dispatched().requests(), 2);
}

#[test]
fn what_memory_could_not_hold_is_halved_for_its_shape_only() {
    let mut bench = Bench::new(1, 8, Duration::ZERO);
    let _eight: Vec<_> = (0..8).map(|_| bench.submit(1)).collect();
    let batch = bench.dispatched();
    let run = Run { out_of_memory: Some(batch.rows()), ..Run::default() };
    bench.batcher.finished(batch.ticket(), run, bench.now);
    drop(batch);
    let _eight: Vec<_> = (0..8).map(|_| bench.submit(1)).collect();
    assert_eq!(bench.dispatched().rows(), 4);
    assert_eq!(bench.dispatched().rows(), 4);
    let _wide: Vec<_> = (0..8).map(|_| bench.try_submit(tensor(&[1, 5], 0)).unwrap()).collect();
    assert_eq!(bench.dispatched().rows(), 8);
}

#[test]
fn a_request_that_is_too_large_alone_is_answered_in_parts_of_parts() {
    let mut bench = Bench::new(1, 8, Duration::ZERO);
    let input = tensor(&[7, 2], 0);
    let answer = bench.try_submit(input.clone()).unwrap();
    let (first, second) = bench.dispatched().halves();
    assert_eq!([first.requests(), second.requests()], [1, 1]);
    assert_eq!([first.rows(), second.rows()], [4, 3]);
    let (early, late) = second.halves();
    assert_eq!([early.rows(), late.rows()], [2, 1]);
    assert!(first.is_divisible() && !late.is_divisible());
    for part in [late, first, early] {
        bench.echo(part);
    }
    let outputs = answered(answer).unwrap().outputs();
    assert_eq!(outputs[0].data(), input.data());
}

#[test]
fn one_part_that_fails_is_the_answer_and_the_others_are_not_run() {
    let mut bench = Bench::new(1, 8, Duration::ZERO);
    let answer = bench.submit(8);
    let (first, second) = bench.dispatched().halves();
    let (early, mut late) = second.halves();
    early.fail(&Error::new(ErrorKind::ModelFailed, "broken"));
    assert_eq!(late.drop_stale(bench.now), 0);
    drop(first);
    assert_eq!(answered(answer).unwrap_err().message(), "broken");
}

#[test]
fn the_halves_of_a_failed_batch_answer_everyone_once() {
    let mut bench = Bench::new(5, 8, Duration::ZERO);
    let answers: Vec<_> = (0..5).map(|_| bench.submit(1)).collect();
    let (first, second) = bench.dispatched().halves();
    assert_eq!([first.requests(), second.requests()], [3, 2]);
    assert_eq!([first.rows(), second.rows()], [3, 2]);
    bench.echo(second);
    first.fail(&Error::new(ErrorKind::ModelFailed, "broken"));
    let ok: Vec<bool> = answers.into_iter().map(|answer| answered(answer).is_ok()).collect();
    assert_eq!(ok, [false, false, false, true, true]);
}

#[test]
fn a_part_that_is_run_again_leaves_out_who_no_longer_waits() {
    let mut bench = Bench::new(3, 8, Duration::ZERO);
    let until = tidegate_inference::Deadline::after(bench.now, 5 * MS);
    let late = bench.submit_until(tensor(&[1, 2], 0), until).unwrap();
    let gone = bench.submit(1);
    let _waits = bench.submit(1);
    let mut batch = bench.dispatched();
    drop(gone);
    assert_eq!(batch.drop_stale(bench.now + 5 * MS), 1);
    assert_eq!((batch.rows(), batch.requests()), (1, 1));
    assert_eq!(answered(late).unwrap_err().kind(), ErrorKind::DeadlineExceeded);
}

#[test]
fn a_full_queue_of_departed_callers_takes_the_next_one_while_a_run_goes_on() {
    let bench = Bench::new(64, 64, 1000 * MS);
    let Bench { queue, batcher, now } = bench;
    let batcher = Arc::new(Mutex::new(batcher));
    let sweeping = Arc::downgrade(&batcher);
    batcher.lock().unwrap().on_full(move |now| {
        sweeping.upgrade().unwrap().lock().unwrap().sweep(now);
        true
    });
    let submit = |now| {
        let deadline = tidegate_inference::Deadline::after(now, 60_000 * MS);
        queue.submit(vec![tensor(&[1, 2], 0)], deadline, now)
    };
    let mut answers: Vec<_> = (0..64).map(|_| submit(now).unwrap()).collect();
    assert_eq!(submit(now).unwrap_err().kind(), ErrorKind::Overloaded);
    answers.truncate(60);
    // Everybody was alive a moment ago: within a millisecond nobody looks again.
    assert_eq!(submit(now).unwrap_err().kind(), ErrorKind::Overloaded);
    let later = now + 2 * MS;
    let taken: Vec<_> = (0..4).map(|_| submit(later).unwrap()).collect();
    assert_eq!(submit(later).unwrap_err().kind(), ErrorKind::Overloaded);
    drop(taken);
}

#[test]
fn places_of_the_departed_are_free_at_once_and_a_crowd_is_not_searched_for_each_of_them() {
    let Bench { queue, batcher, now } = Bench::new(64, 64, 1000 * MS);
    let batcher = Arc::new(Mutex::new(batcher));
    let (sweeping, sweeps) = (Arc::downgrade(&batcher), Arc::new(AtomicUsize::new(0)));
    let counting = Arc::clone(&sweeps);
    batcher.lock().unwrap().on_full(move |now| {
        counting.fetch_add(1, Ordering::Relaxed);
        sweeping.upgrade().unwrap().lock().unwrap().sweep(now);
        true
    });
    let submit = || {
        let deadline = tidegate_inference::Deadline::after(now, 60_000 * MS);
        queue.submit(vec![tensor(&[1, 2], 0)], deadline, now).unwrap()
    };
    let mut answers: Vec<_> = (0..64).map(|_| submit()).collect();
    while answers.len() > 4 {
        drop(answers.pop());
        queue.departed(now);
    }
    // Of those who wait, fewer than one in eight is gone.
    assert_eq!(queue.len(), 4);
    assert!(sweeps.load(Ordering::Relaxed) < 30, "{sweeps:?}");
    drop(answers.pop());
    queue.departed(now);
    assert_eq!(queue.len(), 3);
}
