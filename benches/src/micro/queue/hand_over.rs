//! Items from producers to one consumer, and nothing else. Whoever finds a ring or the deque full or
//! empty yields and asks again, so these arms time the queues and not the sleeping; the channels are
//! used as they are meant to be, and may park.

use std::collections::VecDeque;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel;
use crossbeam::queue::ArrayQueue;
use tidegate_batcher::Arrivals;
use tokio::sync::mpsc;

use super::CAPACITY;
use super::wait::{block_on, insist};

/// A request's worth of words.
pub type Item = [u64; 8];

pub fn array_queue(producers: usize, each: usize) -> Duration {
    let queue = ArrayQueue::new(CAPACITY);
    timed(
        producers,
        |item| insist(|| queue.push(item).ok()),
        || {
            for _ in 0..producers * each {
                insist(|| queue.pop());
            }
        },
        each,
    )
}

pub fn arrivals(producers: usize, each: usize) -> Duration {
    let arrivals = Arrivals::new(CAPACITY);
    timed(
        producers,
        |item| {
            insist(|| arrivals.reserve(1).ok());
            arrivals.push(item, 1);
        },
        || {
            for _ in 0..producers * each {
                insist(|| arrivals.pop());
                arrivals.release(1);
            }
        },
        each,
    )
}

pub fn crossbeam_channel(producers: usize, each: usize) -> Duration {
    let (sender, receiver) = channel::bounded(CAPACITY);
    timed(
        producers,
        |item| sender.send(item).expect("the receiver outlives the senders"),
        || {
            for _ in 0..producers * each {
                receiver.recv().expect("the senders outlive the receiver");
            }
        },
        each,
    )
}

pub fn mutex_deque(producers: usize, each: usize) -> Duration {
    let queue = Mutex::new(VecDeque::with_capacity(CAPACITY));
    let push = |item| {
        let mut queue = queue.lock().expect("nobody panics while holding it");
        (queue.len() < CAPACITY).then(|| queue.push_back(item))
    };
    timed(
        producers,
        |item| insist(|| push(item)),
        || {
            for _ in 0..producers * each {
                insist(|| queue.lock().expect("nobody panics while holding it").pop_front());
            }
        },
        each,
    )
}

pub fn tokio_mpsc(producers: usize, each: usize) -> Duration {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    timed(
        producers,
        |item| block_on(sender.send(item)).expect("the receiver outlives the senders"),
        move || {
            for _ in 0..producers * each {
                block_on(receiver.recv());
            }
        },
        each,
    )
}

/// From the moment when all threads are there until the consumer has everything.
fn timed(
    producers: usize,
    push: impl Fn(Item) + Sync,
    consume: impl FnOnce() + Send,
    each: usize,
) -> Duration {
    let barrier = Barrier::new(producers + 1);
    thread::scope(|scope| {
        for producer in 0..producers {
            let (barrier, push) = (&barrier, &push);
            scope.spawn(move || {
                barrier.wait();
                for index in 0..each {
                    push([(producer + index) as u64; 8]);
                }
            });
        }
        barrier.wait();
        let start = Instant::now();
        consume();
        start.elapsed()
    })
}
