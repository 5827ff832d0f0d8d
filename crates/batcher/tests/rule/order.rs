//! Who goes first: priorities, deadlines, age.

use std::time::Duration;

use tidegate_batcher::{Answer, Terms};
use tidegate_inference::{Deadline, Priority};

use crate::bench::{Bench, MS, answered, tensor};

/// A request with one row, known by its value.
fn submit(bench: &Bench, value: usize, timeout: Duration, priority: u64) -> (usize, Answer) {
    let terms = Terms {
        priority: Priority::from_wire(priority),
        ..Terms::from(Deadline::after(bench.now, timeout))
    };
    (value, bench.submit_on(tensor(&[1, 2], value), terms).unwrap())
}

/// One request a batch: the values in the order in which they run.
fn order(bench: &mut Bench, answers: Vec<(usize, Answer)>) -> Vec<usize> {
    let mut waiting = answers;
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let batch = bench.dispatched();
        bench.ran(batch, Duration::ZERO);
        waiting.retain_mut(|(value, answer)| {
            let done = futures_util::FutureExt::now_or_never(answer).is_some();
            if done {
                order.push(*value);
            }
            !done
        });
    }
    order
}

fn one_by_one() -> Bench {
    Bench::new(1, 1, Duration::ZERO)
}

#[test]
fn the_earliest_deadline_goes_first() {
    let mut bench = one_by_one();
    let answers = [(1, 900), (2, 300), (3, 600), (4, 300)]
        .map(|(value, timeout)| submit(&bench, value, timeout * MS, 0));
    assert_eq!(order(&mut bench, answers.into()), [2, 4, 3, 1]);
}

#[test]
fn a_higher_priority_goes_before_an_earlier_deadline() {
    let mut bench = one_by_one();
    let answers = [
        submit(&bench, 1, 100 * MS, 6),
        submit(&bench, 2, 900 * MS, 1),
        submit(&bench, 3, 500 * MS, 1),
        submit(&bench, 4, 100 * MS, 0),
    ];
    assert_eq!(order(&mut bench, answers.into()), [3, 2, 4, 1]);
}

#[test]
fn the_lowest_priority_moves_under_endless_load_of_the_highest() {
    let mut bench = one_by_one();
    let mut low = submit(&bench, 0, 60_000 * MS, 10).1;
    // Twice as many come as can run: there is always somebody with the highest priority.
    let mut high = Vec::new();
    for round in 0..200 {
        high.push(submit(&bench, round, 60_000 * MS, 1));
        if round % 2 == 0 {
            let batch = bench.dispatched();
            bench.ran(batch, 10 * MS);
        }
        if futures_util::FutureExt::now_or_never(&mut low).is_some() {
            let waited = round / 2;
            assert!((85..100).contains(&waited), "after {waited} runs of 10 ms");
            return;
        }
        if high.len() > 60 {
            // The queue holds 64: those in excess hang up.
            high.remove(1);
        }
    }
    panic!("it never ran");
}

#[test]
fn of_two_shapes_the_one_with_the_more_urgent_request_goes_first() {
    let mut bench = Bench::new(1, 8, Duration::ZERO);
    let wide = Terms::from(Deadline::after(bench.now, 900 * MS));
    let _wide = bench.submit_on(tensor(&[1, 5], 0), wide).unwrap();
    let urgent = submit(&bench, 0, 300 * MS, 0).1;
    let batch = bench.dispatched();
    bench.ran(batch, MS);
    assert!(answered(urgent).is_ok());
}
