//! Claims about the workers, on the mock. Threads are real, but nothing sleeps: the mock's gate says
//! when a worker is busy.

use std::thread;
use std::time::Duration;

use tidegate_batcher::Answer;
use tidegate_inference::CloseReason;

use crate::testing::{House, row, submit, wait};

#[test]
fn the_next_worker_leads_while_the_first_one_runs() {
    let house = House::with(2, Duration::ZERO);
    house.mock.hold();
    let first = house.submit(1);
    house.mock.wait_until_held(1);
    let second = house.submit(2);
    house.mock.wait_until_held(2);
    house.mock.open();
    assert_eq!([row(&wait(first).unwrap()), row(&wait(second).unwrap())], [1, 2]);
    let mut threads: Vec<String> = house.mock.runs().into_iter().map(|run| run.thread).collect();
    threads.sort();
    assert_eq!(threads, ["tidegate-mock-0", "tidegate-mock-1"]);
    house.close();
}

#[test]
fn what_arrives_while_all_are_busy_shares_the_next_batch() {
    let house = House::with(1, Duration::ZERO);
    house.mock.hold();
    let first = house.submit(0);
    house.mock.wait_until_held(1);
    let others: Vec<Answer> = (1..=3).map(|row| house.submit(row)).collect();
    house.mock.open();
    let first = wait(first).unwrap();
    assert_eq!((first.batch.rows, first.batch.closed_by), (1, CloseReason::Eager));
    for (answer, expected) in others.into_iter().zip(1..) {
        let answered = wait(answer).unwrap();
        assert_eq!((row(&answered), answered.batch.requests), (expected, 3));
        let times = answered.times;
        assert!(times.dispatched <= times.gathered && times.gathered <= times.executed);
    }
    assert_eq!(house.rows_of_runs(), [1, 3]);
    house.close();
}

#[test]
fn a_leader_waits_for_company_and_then_goes_without() {
    let house = House::with(2, Duration::from_millis(2));
    let alone = wait(house.submit(1)).unwrap();
    assert_eq!(alone.batch.closed_by, CloseReason::Delay);
    house.close();
}

#[test]
fn enough_rows_end_the_wait_of_a_parked_leader() {
    let house = House::with(1, Duration::from_secs(3600));
    let answers: Vec<Answer> = (0..4).map(|row| house.submit(row)).collect();
    for answer in answers {
        assert_eq!(wait(answer).unwrap().batch.closed_by, CloseReason::Target);
    }
    house.close();
}

#[test]
fn closing_answers_what_is_inside_and_ends_the_workers() {
    let house = House::with(3, Duration::from_secs(3600));
    let answers = [house.submit(1), house.submit(2)];
    house.close();
    let rows = answers.map(|answer| row(&wait(answer).unwrap()));
    assert_eq!(rows, [1, 2]);
}

/// Four callers, each of whom waits for its answer before it asks again, so that the workers fall
/// asleep and are woken all the time: a forgotten request would hang its caller.
#[test]
fn among_three_workers_no_request_is_slept_on() {
    let house = House::with(3, Duration::from_micros(50));
    thread::scope(|scope| {
        for caller in 0..4 {
            let queue = &house.queue;
            scope.spawn(move || {
                for _ in 0..2_000 {
                    assert_eq!(row(&wait(submit(queue, &[caller])).unwrap()), caller);
                }
            });
        }
    });
    house.close();
}
