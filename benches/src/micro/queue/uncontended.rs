//! One item in and out again, by one thread: what is left of a queue when nobody is in the way. No cache
//! line travels, so this is the least that each can cost, and its instructions can be counted.

use std::collections::VecDeque;
use std::sync::Mutex;

use crossbeam::channel;
use crossbeam::queue::ArrayQueue;
use tidegate_batcher::Arrivals;
use tokio::sync::mpsc;

use super::CAPACITY;
use super::hand_over::Item;
use crate::micro::measure::Arm;

const ITEM: Item = [1; 8];

pub fn arms() -> Vec<Arm> {
    let (ring, arrivals) = (ArrayQueue::new(CAPACITY), Arrivals::new(CAPACITY));
    let (crossbeam_in, crossbeam_out) = channel::bounded(CAPACITY);
    let (tokio_in, mut tokio_out) = mpsc::channel(CAPACITY);
    let deque = Mutex::new(VecDeque::with_capacity(CAPACITY));
    vec![
        Arm::new("ArrayQueue", move || {
            ring.push(ITEM).expect("there is room");
            ring.pop()
        }),
        Arm::new("Arrivals", move || {
            arrivals.reserve(1).expect("there is room");
            arrivals.push(ITEM, 1);
            let item = arrivals.pop();
            arrivals.release(1);
            item
        }),
        Arm::new("crossbeam channel", move || {
            crossbeam_in.try_send(ITEM).expect("there is room");
            crossbeam_out.try_recv()
        }),
        Arm::new("tokio mpsc", move || {
            tokio_in.try_send(ITEM).expect("there is room");
            tokio_out.try_recv()
        }),
        Arm::new("Mutex<VecDeque>", move || {
            deque.lock().expect("nobody panics").push_back(ITEM);
            deque.lock().expect("nobody panics").pop_front()
        }),
    ]
}
