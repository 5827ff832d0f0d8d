//! The rule of fixed numbers, and what holds under every rule.

use std::time::Duration;

use tidegate_batcher::{Batch, BatchPolicy, Batching, InputAxis, InputBuffers, RowLayout, Step};
use tidegate_inference::{CloseReason, Deadline, ErrorKind};

use crate::bench::{Bench, MS, answered, count, tensor};

#[test]
fn with_no_delay_a_lone_request_goes_at_once() {
    let mut bench = Bench::new(8, 16, Duration::ZERO);
    let _answer = bench.submit(1);
    let batch = bench.dispatched();
    assert_eq!((batch.rows(), batch.closed_by()), (1, CloseReason::Eager));
    bench.is_idle();
}

#[test]
fn the_target_reached_the_batch_goes() {
    let mut bench = Bench::new(4, 16, 10 * MS);
    let _three: Vec<_> = (0..3).map(|_| bench.submit(1)).collect();
    bench.waits_until(bench.now + 10 * MS);
    let _fourth = bench.submit(1);
    let batch = bench.dispatched();
    assert_eq!((batch.rows(), batch.closed_by()), (4, CloseReason::Target));
}

#[test]
fn a_backlog_fills_the_batch_to_the_cap_and_not_past_it() {
    let mut bench = Bench::new(2, 8, 10 * MS);
    let _answers: Vec<_> = (0..11).map(|_| bench.submit(1)).collect();
    let batch = bench.dispatched();
    assert_eq!((batch.rows(), batch.closed_by()), (8, CloseReason::Cap));
    assert_eq!(bench.dispatched().rows(), 3);
}

#[test]
fn a_request_that_does_not_fit_any_more_opens_the_next_batch() {
    let mut bench = Bench::new(2, 8, 10 * MS);
    let _answers = [bench.submit(5), bench.submit(4), bench.submit(1)];
    assert_eq!(bench.dispatched().rows(), 5);
    assert_eq!(bench.dispatched().rows(), 5);
}

#[test]
fn the_timer_belongs_to_the_oldest_request_and_does_not_start_again() {
    let mut bench = Bench::new(8, 8, 10 * MS);
    let due = bench.now + 10 * MS;
    let _first = bench.submit(1);
    for _ in 0..3 {
        bench.later(3 * MS);
        let answer = bench.submit(1);
        std::mem::forget(answer);
        bench.waits_until(due);
    }
    bench.later(MS);
    let batch = bench.dispatched();
    assert_eq!((batch.rows(), batch.closed_by()), (4, CloseReason::Delay));
}

#[test]
fn another_shape_neither_joins_nor_closes_a_batch() {
    let mut bench = Bench::new(3, 8, 10 * MS);
    let _narrow = [bench.submit(1), bench.submit(1)];
    let _wide = bench.try_submit(tensor(&[1, 5], 0)).unwrap();
    bench.waits_until(bench.now + 10 * MS);
    let _third = bench.submit(1);
    assert_eq!(bench.dispatched().facts().requests, 3);
    bench.later(10 * MS);
    assert_eq!(bench.dispatched().facts().requests, 1);
}

#[test]
fn of_two_due_shapes_the_one_with_the_oldest_request_goes_first() {
    let mut bench = Bench::new(2, 8, 10 * MS);
    let _wide = bench.try_submit(tensor(&[1, 5], 0)).unwrap();
    bench.later(MS);
    let _narrow = [bench.submit(1), bench.submit(1), bench.submit(1)];
    bench.later(9 * MS);
    assert_eq!(bench.dispatched().closed_by(), CloseReason::Delay);
    assert_eq!(bench.dispatched().closed_by(), CloseReason::Target);
}

#[test]
fn requests_share_a_batch_only_if_they_agree_on_a_shared_input() {
    let layout =
        RowLayout { inputs: vec![InputAxis::Rows(0), InputAxis::Shared], outputs: vec![0] };
    let eight = count(8);
    let policy = BatchPolicy::new(eight, eight, Duration::ZERO).unwrap();
    let mut bench = Bench::with(Batching::Rows { layout, policy }, 8);
    let submit = |bench: &Bench, scale: usize| {
        let inputs = vec![tensor(&[1, 2], 0), tensor(&[], scale)];
        bench.queue.submit(inputs, Deadline::after(bench.now, MS), bench.now).unwrap()
    };
    let _answers = [submit(&bench, 1), submit(&bench, 2), submit(&bench, 1)];
    let first = bench.dispatched();
    let mut buffers = InputBuffers::default();
    let views = first.gather(&mut buffers).unwrap();
    assert_eq!((&*views[0].shape, &*views[1].shape), (&[2, 2][..], &[][..]));
    assert_eq!(bench.dispatched().requests(), 1);
}

#[test]
fn a_caller_that_is_gone_is_not_executed() {
    let mut bench = Bench::new(2, 8, 10 * MS);
    drop(bench.submit(1));
    let _waiting = bench.submit(1);
    bench.waits_until(bench.now + 10 * MS);
    bench.later(10 * MS);
    assert_eq!(bench.dispatched().requests(), 1);
    assert_eq!(bench.queue.len(), 0);
}

#[test]
fn a_batch_that_was_complete_only_with_the_departed_keeps_waiting() {
    let mut bench = Bench::new(3, 8, 10 * MS);
    let _first = bench.submit(1);
    drop(bench.submit(1));
    bench.later(MS);
    let _third = bench.submit(1);
    bench.waits_until(bench.now + 9 * MS);
    assert_eq!(bench.queue.len(), 2);
}

#[test]
fn a_request_past_its_deadline_is_answered_and_not_run() {
    let mut bench = Bench::new(8, 8, Duration::ZERO);
    let late = bench.submit_until(tensor(&[1, 2], 0), Deadline::after(bench.now, MS)).unwrap();
    let _in_time = bench.submit(1);
    bench.later(MS);
    assert_eq!(bench.dispatched().requests(), 1);
    assert_eq!(answered(late).unwrap_err().kind(), ErrorKind::DeadlineExceeded);
}

#[test]
fn a_request_above_the_cap_is_split_and_answered_once() {
    let mut bench = Bench::new(4, 4, Duration::ZERO);
    let input = tensor(&[10, 2], 0);
    let answer = bench.try_submit(input.clone()).unwrap();
    assert_eq!(bench.queue.len(), 3);
    let batches: Vec<Batch> = (0..3).map(|_| bench.dispatched()).collect();
    assert_eq!(batches.iter().map(Batch::rows).collect::<Vec<_>>(), [4, 4, 2]);
    // Answered out of order, as parallel workers do.
    batches.into_iter().rev().for_each(|batch| bench.echo(batch));
    let outputs = answered(answer).unwrap().outputs();
    assert_eq!(outputs[0].clone().renamed("x".into()), input);
}

#[test]
fn the_rest_of_a_split_request_shares_its_batch() {
    let mut bench = Bench::new(4, 4, Duration::ZERO);
    let _answers = [bench.submit(5), bench.submit(3)];
    let batches = [bench.dispatched(), bench.dispatched()];
    assert_eq!(batches.each_ref().map(Batch::requests), [1, 2]);
}

#[test]
fn one_failed_part_fails_the_request_and_spares_the_other_parts_work() {
    let mut bench = Bench::new(4, 4, Duration::ZERO);
    let answer = bench.submit(8);
    let first = bench.dispatched();
    first.fail(&tidegate_inference::Error::new(ErrorKind::ModelFailed, "broken"));
    assert_eq!(answered(answer).unwrap_err().kind(), ErrorKind::ModelFailed);
    bench.is_idle();
}

#[test]
fn a_request_that_needs_more_batches_than_the_queue_holds_is_too_large() {
    let bench = Bench::new(1, 1, Duration::ZERO);
    let error = bench.try_submit(tensor(&[65, 2], 0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(bench.queue.len(), 0);
}

#[test]
fn a_full_queue_refuses_at_once_and_frees_its_places_at_dispatch() {
    let mut bench = Bench::new(8, 8, Duration::ZERO);
    let _answers: Vec<_> = (0..64).map(|_| bench.submit(1)).collect();
    let error = bench.try_submit(tensor(&[1, 2], 0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.retry_after().is_some());
    let _batch = bench.dispatched();
    assert!(bench.try_submit(tensor(&[1, 2], 0)).is_ok());
}

#[test]
fn a_closed_queue_refuses_and_finishes_what_is_inside() {
    let mut bench = Bench::new(8, 8, 10 * MS);
    let answer = bench.submit(1);
    bench.waits_until(bench.now + 10 * MS);
    bench.queue.close();
    assert_eq!(bench.try_submit(tensor(&[1, 2], 0)).unwrap_err().kind(), ErrorKind::Unavailable);
    let batch = bench.dispatched();
    assert_eq!(batch.closed_by(), CloseReason::Drain);
    assert!(matches!(bench.step(), Step::Closed));
    bench.echo(batch);
    assert!(answered(answer).is_ok());
}

#[test]
fn a_model_without_batches_gets_one_request_at_a_time() {
    let mut bench = Bench::with(Batching::Unbatched, 8);
    let _answers = [bench.submit(3), bench.submit(1)];
    let batch = bench.dispatched();
    assert_eq!((batch.requests(), batch.closed_by()), (1, CloseReason::Unbatched));
    assert_eq!(bench.dispatched().requests(), 1);
    bench.is_idle();
}

#[test]
fn outputs_without_the_batchs_rows_fail_everyone_and_are_given_to_nobody() {
    let mut bench = Bench::new(2, 2, Duration::ZERO);
    let answers = [bench.submit(1), bench.submit(1)];
    bench.dispatched().scatter(vec![tensor(&[1, 2], 0)], bench.run_times());
    for answer in answers {
        let error = answered(answer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ModelFailed);
        assert_eq!(error.message(), "output 'x' has shape [1,2], expected 2 rows on axis 0");
    }
}

#[test]
fn a_dropped_batch_answers_everyone() {
    let mut bench = Bench::new(2, 2, Duration::ZERO);
    let answer = bench.submit(1);
    drop(bench.dispatched());
    assert_eq!(answered(answer).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn a_dropped_batcher_leaves_nobody_waiting() {
    let bench = Bench::new(2, 2, 10 * MS);
    let answer = bench.submit(1);
    let Bench { queue, batcher, .. } = bench;
    drop((queue, batcher));
    assert_eq!(answered(answer).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn a_target_above_the_cap_or_an_endless_delay_is_no_policy() {
    assert!(BatchPolicy::new(count(9), count(8), MS).is_err());
    assert!(BatchPolicy::new(count(8), count(8), BatchPolicy::LONGEST_DELAY).is_ok());
    assert!(BatchPolicy::new(count(8), count(8), Duration::MAX).is_err());
}
