//! Claims about runs that go wrong, on the mock.

use tidegate_batcher::Answer;
use tidegate_inference::{ErrorKind, TensorData};

use super::*;
use crate::testing::{House, holds, row, submit, wait};

/// Every answer is its own row, but for the culprits, who get the message. Says what each of them was told.
#[track_caller]
fn only_these_fail(answers: Vec<Answer>, culprits: &[u8], message: &str) {
    for (answer, number) in answers.into_iter().zip(0..) {
        match wait(answer) {
            Ok(answered) => assert_eq!(row(&answered), number),
            Err(error) => {
                assert!(culprits.contains(&number), "{number}: {error}");
                assert_eq!(error.kind(), ErrorKind::ModelFailed);
                assert!(error.message().contains(message), "{error}");
            }
        }
    }
}

#[test]
fn one_bad_request_of_32_fails_alone_and_costs_eleven_runs_at_most() {
    for culprit in [0, 13, 31] {
        let house = House::together(32);
        house.mock.fail_when(holds(culprit));
        let answers = house.submit_all(0..32);
        only_these_fail(answers, &[culprit], "the mock was told to fail");
        let reruns = house.rows_of_runs().len() - 1;
        assert!(reruns <= 11, "{:?}", house.rows_of_runs());
        assert_eq!((house.mock.rebuilt(), house.close()), (0, 0));
    }
}

#[test]
fn a_group_has_left_once_its_queue_is_closed_and_empty() {
    let house = House::with(1, Duration::ZERO);
    house.mock.hold();
    let inside = house.submit(0);
    house.queue.close();
    assert!(!house.group.has_left_within(Duration::ZERO));
    house.mock.open();
    assert!(house.group.has_left_within(Duration::MAX));
    assert_eq!(row(&wait(inside).unwrap()), 0);
    assert_eq!(house.close(), 0);
}

#[test]
fn a_poison_that_came_twice_runs_with_nobody_beside_it() {
    let house = House::with(1, Duration::ZERO);
    house.mock.fail_when(holds(9));
    for _ in 0..3 {
        house.mock.forget_runs();
        house.mock.hold();
        let first = house.submit(0);
        house.mock.wait_until_held(1);
        let others: Vec<Answer> = [1, 9, 2, 3].map(|row| house.submit(row)).into();
        house.mock.open();
        assert!(wait(first).is_ok());
        for (answer, expected) in others.into_iter().zip([true, false, true, true]) {
            assert_eq!(wait(answer).is_ok(), expected);
        }
    }
    let mut rows = house.rows_of_runs();
    rows.sort_unstable();
    assert_eq!(rows, [1, 1, 3], "the first one, the poison, and the others together");
    house.close();
}

#[test]
fn between_two_reruns_another_batch_has_its_turn() {
    let house = House::with(1, Duration::ZERO);
    let (queue, late) = (Arc::clone(&house.queue), Arc::new(Mutex::new(None)));
    let answer = Arc::clone(&late);
    house.mock.fail_when(move |inputs| {
        // Whoever comes during the first rerun, which has two rows, comes with three.
        if inputs[0].shape[0] == 2 {
            answer.lock().unwrap().get_or_insert_with(|| submit(&queue, &[5, 6, 7]));
        }
        holds(9)(inputs)
    });
    house.mock.hold();
    let first = house.submit(0);
    house.mock.wait_until_held(1);
    let others: Vec<Answer> = [9, 1, 2, 3].map(|row| house.submit(row)).into();
    house.mock.open();
    assert!(wait(first).is_ok());
    assert_eq!(others.into_iter().filter_map(|answer| wait(answer).ok()).count(), 3);
    let late = late.lock().unwrap().take().unwrap();
    assert_eq!(row(&wait(late).unwrap()), 5);
    assert_eq!(house.rows_of_runs(), [1, 4, 2, 3, 2, 1, 1]);
    house.close();
}

#[test]
fn an_engine_that_fails_on_everything_is_recognised_after_few_runs_and_comes_back_when_it_runs() {
    let house = House::together(64);
    house.mock.fail_when(|_| true);
    for answer in house.submit_all(0..64) {
        assert!(wait(answer).unwrap_err().message().contains("the mock was told to fail"));
    }
    // The batch, two parts of it, the probe; a recovery may have begun.
    assert_eq!(house.rows_of_runs()[..4], [64, 32, 32, 1]);
    let Fitness::Unfit(reason) = house.news.recv().unwrap() else { panic!("expected unfit") };
    assert!(reason.contains("it answered when it was loaded: the mock was told to fail"));

    for answer in house.submit_all(0..64) {
        let error = wait(answer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains(&reason) && error.retry_after().is_some(), "{error}");
    }
    assert!(house.rows_of_runs()[4..].iter().all(|rows| *rows == 1), "only the probe runs");

    house.mock.fail_when(|_| false);
    assert_eq!(house.news.recv(), Ok(Fitness::Fit));
    only_these_fail(house.submit_all(0..64), &[], "");
    house.close();
}

#[test]
fn many_bad_requests_are_no_broken_engine() {
    let house = House::together(16);
    house.mock.fail_when(|inputs| (1..16).any(|row| holds(row)(inputs)));
    only_these_fail(
        house.submit_all(0..16),
        &(1..16).collect::<Vec<u8>>(),
        "the mock was told to fail",
    );
    assert!(house.news.try_recv().is_err());
    house.close();
}

#[test]
fn a_panic_fails_its_request_alone_and_the_instance_is_rebuilt_before_anything_else() {
    let house = House::together(8);
    house.mock.panic_when(holds(5));
    only_these_fail(house.submit_all(0..8), &[5], "the mock was told to panic");
    house.mock.panic_when(|_| false);
    only_these_fail(house.submit_all(0..8), &[], "");
    assert!((2..=4).contains(&house.mock.rebuilt()), "{}", house.mock.rebuilt());
    house.close();
}

#[test]
fn an_instance_that_cannot_be_rebuilt_makes_the_version_unfit_until_it_can() {
    let house = House::together(2);
    house.mock.panic_when(|_| true);
    house.mock.refuse_to_load(Some("the disk is gone"));
    for answer in house.submit_all(0..2) {
        assert!(wait(answer).is_err());
    }
    let Fitness::Unfit(reason) = house.news.recv().unwrap() else { panic!("expected unfit") };
    assert!(reason.contains("(panic): the disk is gone"), "{reason}");
    house.mock.panic_when(|_| false);
    house.mock.refuse_to_load(None);
    assert_eq!(house.news.recv(), Ok(Fitness::Fit));
    only_these_fail(house.submit_all(0..2), &[], "");
    house.close();
}

#[test]
fn a_run_that_hangs_is_ended_and_its_culprit_found() {
    let house = House::together(4);
    house.mock.hang_when(holds(2));
    let answers = house.submit_all(0..4);
    house.end_the_hanging(1);
    house.end_the_hanging(2);
    only_these_fail(answers, &[2], "longer than its max_execution_time of 3600s");
    assert_eq!(house.rows_of_runs(), [4, 2, 1, 1]);
    // Other ones: the culprit would run with nobody beside it by now.
    assert!(house.submit_all(4..8).into_iter().all(|answer| wait(answer).is_ok()));
    assert_eq!(house.mock.rebuilt(), 2);
    assert_eq!(house.close(), 0);
}

#[test]
fn a_thread_that_does_not_come_back_is_given_up_and_another_takes_its_place() {
    let house = House::together(2);
    house.mock.ignore_termination(true);
    house.mock.hang_when(holds(1));
    let answers = house.submit_all(0..2);
    house.give_up_the_stuck(1);
    for answer in answers {
        let error = wait(answer).unwrap_err();
        assert!(error.message().contains("max_execution_time"), "{error}");
    }
    house.mock.hang_when(|_| false);
    only_these_fail(house.submit_all(0..2), &[], "");
    assert_eq!(house.mock.rebuilt(), 1);
    let mock = house.mock.clone();
    assert_eq!(house.close(), 1, "the process knows that it must not tear the engine down");
    mock.end_hangs();
}

#[test]
fn reruns_are_not_lost_with_the_thread_that_did_them() {
    let house = House::together(4);
    house.mock.ignore_termination(true);
    // As a whole it only fails; the part with the culprit hangs for good.
    house.mock.fail_when(|inputs| inputs[0].shape[0] == 4);
    house.mock.hang_when(|inputs| inputs[0].shape[0] < 4 && holds(0)(inputs));
    let answers = house.submit_all(0..4);
    house.give_up_the_stuck(1);
    let mut answered: Vec<u8> =
        answers.into_iter().filter_map(|answer| Some(row(&wait(answer).ok()?))).collect();
    answered.sort_unstable();
    assert_eq!(answered, [2, 3], "0 hangs, and 1 was beside it");
    let mock = house.mock.clone();
    assert_eq!(house.close(), 1);
    mock.end_hangs();
}

#[test]
fn the_fourth_stuck_thread_makes_the_version_unfit_and_a_return_mends_it() {
    let house = House::together(1);
    house.mock.ignore_termination(true);
    house.mock.hang_when(holds(1));
    for hung in 1..=4 {
        let answer = house.submit(1);
        house.give_up_the_stuck(hung);
        assert!(wait(answer).is_err());
    }
    let news = house.news.recv();
    assert_eq!(news, Ok(Fitness::Unfit("4 threads are stuck in the engine".into())));
    assert_eq!(wait(house.submit(0)).unwrap_err().kind(), ErrorKind::Unavailable);
    house.mock.end_hangs();
    assert_eq!(house.news.recv(), Ok(Fitness::Fit));
    assert_eq!(row(&wait(house.submit(0)).unwrap()), 0);
    house.close();
}

#[test]
fn a_probe_that_hangs_makes_the_version_unfit_and_is_repeated() {
    let house = House::together(1);
    house.mock.ignore_termination(true);
    house.mock.hang_when(holds(0));
    house.mock.fail_when(|_| true);
    for row in 1..=3 {
        assert!(wait(house.submit(row)).is_err());
    }
    house.give_up_the_stuck(1);
    let Fitness::Unfit(reason) = house.news.recv().unwrap() else { panic!("expected unfit") };
    assert!(reason.contains("it hangs on a request"), "{reason}");
    house.give_up_the_stuck(2);
    house.mock.fail_when(|_| false);
    house.mock.end_hangs();
    // Another probe may have hung meanwhile, and failed with the end of it.
    while house.news.recv().unwrap() != Fitness::Fit {}
    assert_eq!(row(&wait(house.submit(0)).unwrap()), 0);
    house.close();
}

#[test]
fn a_batch_without_memory_is_answered_in_parts_and_the_size_is_remembered() {
    let house = House::together(16);
    house.mock.run_out_of_memory_above(5);
    only_these_fail(house.submit_all(0..16), &[], "");
    assert_eq!(house.rows_of_runs()[0], 16);
    house.mock.forget_runs();
    only_these_fail(house.submit_all(0..16), &[], "");
    assert!(house.rows_of_runs().iter().all(|rows| *rows <= 8), "{:?}", house.rows_of_runs());
    house.close();
}

#[test]
fn a_single_request_without_memory_is_run_by_rows_and_answered_once() {
    let house = House::with(1, Duration::ZERO);
    house.mock.run_out_of_memory_above(3);
    let rows = [4, 5, 6, 7, 8, 9, 10];
    let answered = wait(submit(&house.queue, &rows)).unwrap().outputs();
    let TensorData::Fixed(bytes) = answered[0].data() else { panic!("fixed") };
    assert_eq!(**bytes, rows);
    assert_eq!(house.rows_of_runs(), [7, 4, 2, 2, 3]);
    house.close();
}

#[test]
fn a_request_that_has_no_memory_alone_is_told_so() {
    let house = House::together(2);
    house.mock.run_out_of_memory_above(0);
    for answer in house.submit_all(0..2) {
        assert!(wait(answer).unwrap_err().message().contains("no memory"));
    }
    house.close();
}

#[test]
fn a_long_thread_name_keeps_its_number() {
    assert_eq!(short_name("tidegate-digits-2", 0), "tidegate-digi-0");
    assert_eq!(short_name("tidegate-dígíts", 12), "tidegate-dí-12");
    assert_eq!(short_name("m-1", 3), "m-1-3");
}
