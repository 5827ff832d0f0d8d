//! The way into the batcher against two oracles: step by step against a plain deque, and under real
//! threads against the list of what was sent.
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};

use proptest::prelude::*;
use tidegate_batcher::{Arrivals, PushError};

const CAPACITY: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    /// Reserve so many places and push as many items.
    Enter(usize),
    Pop,
    /// Give back the place of an item that was popped.
    Release,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..4).prop_map(Step::Enter),
        4 => Just(Step::Pop),
        3 => Just(Step::Release),
        1 => Just(Step::Close),
    ]
}

/// What the arrivals should be: a deque, a number of places, and a flag.
#[derive(Default)]
struct Oracle {
    items: VecDeque<u32>,
    taken: usize,
    closed: bool,
}

proptest! {
    #[test]
    fn every_step_agrees_with_a_plain_deque(steps in prop::collection::vec(step(), 0..80)) {
        let arrivals = Arrivals::new(CAPACITY);
        let mut oracle = Oracle::default();
        let mut popped = 0;
        let mut next = 0;
        for step in steps {
            match step {
                Step::Enter(count) => {
                    let expected = if oracle.closed {
                        Err(PushError::Closed)
                    } else if oracle.taken + count > CAPACITY {
                        Err(PushError::Full)
                    } else {
                        Ok(())
                    };
                    prop_assert_eq!(arrivals.reserve(count), expected);
                    if expected.is_ok() {
                        oracle.taken += count;
                        for _ in 0..count {
                            arrivals.push(next, 1);
                            oracle.items.push_back(next);
                            next += 1;
                        }
                    }
                }
                Step::Pop => {
                    let item = oracle.items.pop_front();
                    popped += usize::from(item.is_some());
                    prop_assert_eq!(arrivals.pop(), item);
                }
                Step::Release if popped > 0 => {
                    popped -= 1;
                    oracle.taken -= 1;
                    arrivals.release(1);
                }
                Step::Release => {}
                Step::Close => {
                    oracle.closed = true;
                    arrivals.close();
                }
            }
            prop_assert_eq!(arrivals.len(), oracle.taken);
            prop_assert_eq!(arrivals.is_finished(), oracle.closed && oracle.taken == 0);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Takes everything until the arrivals are closed and empty, sleeping whenever there is nothing.
fn drain(arrivals: &Arrivals<(usize, u32)>) -> Vec<(usize, u32)> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut all = Vec::new();
    loop {
        arrivals.awake();
        let knows_closed = arrivals.is_closed();
        while let Some(item) = arrivals.pop() {
            arrivals.release(1);
            all.push(item);
        }
        if arrivals.is_finished() {
            return all;
        }
        while arrivals.poll_pushed(&mut context, all.len() as u64 + 1, knows_closed).is_pending() {
            thread::park();
        }
    }
}

#[test]
fn with_many_producers_every_item_arrives_once_and_in_its_producers_order() {
    const PRODUCERS: usize = 4;
    const ITEMS: u32 = 20_000;
    let arrivals = Arrivals::new(8);
    let all = thread::scope(|scope| {
        let leader = scope.spawn(|| drain(&arrivals));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let arrivals = &arrivals;
                scope.spawn(move || {
                    for item in 0..ITEMS {
                        while arrivals.reserve(1).is_err() {
                            thread::yield_now();
                        }
                        arrivals.push((producer, item), 1);
                    }
                })
            })
            .collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        arrivals.close();
        leader.join().unwrap()
    });
    for producer in 0..PRODUCERS {
        let its: Vec<u32> =
            all.iter().filter(|(from, _)| *from == producer).map(|(_, item)| *item).collect();
        assert!(its.iter().copied().eq(0..ITEMS), "producer {producer}: {} items", its.len());
    }
    assert_eq!(all.len(), PRODUCERS * ITEMS as usize);
}

/// Producers that race with the closing: what was let in comes out, the rest was refused.
#[test]
fn what_was_let_in_before_the_closing_comes_out() {
    for round in 0..200 {
        let arrivals = Arrivals::new(1024);
        let (entered, drained) = thread::scope(|scope| {
            let leader = scope.spawn(|| drain(&arrivals));
            let producers: Vec<_> = (0..2)
                .map(|producer| {
                    let arrivals = &arrivals;
                    scope.spawn(move || {
                        let mut entered = 0;
                        while entered < 400 {
                            match arrivals.reserve(1) {
                                Ok(()) => arrivals.push((producer, entered), 1),
                                Err(PushError::Full) => {
                                    thread::yield_now();
                                    continue;
                                }
                                Err(PushError::Closed) => break,
                            }
                            entered += 1;
                        }
                        entered as usize
                    })
                })
                .collect();
            for _ in 0..round {
                std::hint::spin_loop();
            }
            arrivals.close();
            let entered: usize =
                producers.into_iter().map(|producer| producer.join().unwrap()).sum();
            (entered, leader.join().unwrap().len())
        });
        assert_eq!(entered, drained, "round {round}");
    }
}
