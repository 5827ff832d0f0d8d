//! The close-and-wake protocol of the queue under every interleaving that loom can find, and the
//! negative control that shows the models are able to fail.
//!
//! Runs only with `RUSTFLAGS="--cfg loom"`; `make test` does that.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::future::poll_fn;

use loom::future::block_on;
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;
use tidegate_batcher::{Arrivals, PushError};

/// Every interleaving with up to three preemptions: each fault known in protocols of this kind needs
/// two, and without a bound the models of three threads do not end.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// What a leader does: take what is there, else sleep until `wanted` rows more have come.
fn take(arrivals: &Arrivals<u64>, count: u64) -> Vec<u64> {
    let mut taken = Vec::new();
    while (taken.len() as u64) < count {
        arrivals.awake();
        while let Some(item) = arrivals.pop() {
            arrivals.release(1);
            taken.push(item);
        }
        let wake_at = taken.len() as u64 + 1;
        if (taken.len() as u64) < count {
            block_on(poll_fn(|context| arrivals.poll_pushed(context, wake_at, false)));
        }
    }
    taken
}

fn one_producer_one_leader(arrivals: Arrivals<u64>) {
    let arrivals = Arc::new(arrivals);
    let producer = {
        let arrivals = Arc::clone(&arrivals);
        thread::spawn(move || {
            arrivals.reserve(1).unwrap();
            arrivals.push(7, 1);
        })
    };
    assert_eq!(take(&arrivals, 1), [7]);
    producer.join().unwrap();
}

#[test]
fn a_leader_never_sleeps_on_an_item() {
    model(|| one_producer_one_leader(Arrivals::new(2)));
}

/// Without the producer's fence its read of `wake_at` may come before its write of `pushed`, and
/// the leader sleeps for ever: loom reports the deadlock.
#[test]
#[should_panic(expected = "deadlock")]
fn without_its_fence_the_producer_misses_the_sleeper() {
    model(|| one_producer_one_leader(Arrivals::without_the_producers_fence(2)));
}

#[test]
fn a_leader_that_waits_for_two_rows_is_woken_by_whoever_brings_the_second() {
    model(|| {
        let arrivals = Arc::new(Arrivals::new(2));
        let producers: Vec<_> = (0..2)
            .map(|item| {
                let arrivals = Arc::clone(&arrivals);
                thread::spawn(move || {
                    arrivals.reserve(1).unwrap();
                    arrivals.push(item, 1);
                })
            })
            .collect();
        block_on(poll_fn(|context| arrivals.poll_pushed(context, 2, false)));
        let mut items = [arrivals.pop().unwrap(), arrivals.pop().unwrap()];
        items.sort_unstable();
        assert_eq!(items, [0, 1]);
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

/// A producer races with the closing: its item is either refused or handed out, and the leader
/// always comes to its end.
#[test]
fn closing_loses_nothing_and_leaves_nobody_asleep() {
    model(|| {
        let arrivals = Arc::new(Arrivals::new(1));
        let producer = {
            let arrivals = Arc::clone(&arrivals);
            thread::spawn(move || match arrivals.reserve(1) {
                Ok(()) => {
                    arrivals.push(7, 1);
                    1
                }
                Err(refusal) => {
                    assert_eq!(refusal, PushError::Closed);
                    0
                }
            })
        };
        let closer = {
            let arrivals = Arc::clone(&arrivals);
            thread::spawn(move || arrivals.close())
        };
        let mut taken = 0;
        loop {
            arrivals.awake();
            let knows_closed = arrivals.is_closed();
            while arrivals.pop().is_some() {
                arrivals.release(1);
                taken += 1;
            }
            if arrivals.is_finished() {
                break;
            }
            block_on(poll_fn(|context| arrivals.poll_pushed(context, taken + 1, knows_closed)));
        }
        assert_eq!(producer.join().unwrap(), taken);
        closer.join().unwrap();
    });
}
