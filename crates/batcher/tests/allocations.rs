//! What the batcher asks of the allocator once it has run for a while. Counted are the calls of one
//! thread, so a caller's share (submitting, taking its rows) and the worker's (step, gather, scatter, finished) stand apart.
//!
//! Nobody pays for a row, and the worker does not pay for a request either: what a request costs is paid by
//! its caller's thread, one allocation when it comes and one when its rows are cut out.
//!
//! The engine's outputs are made beforehand: what an engine allocates is its own.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod counting;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use counting::allocations_of;
use futures_util::FutureExt;
use tidegate_batcher::{
    Answer, BatchPolicy, Batcher, Batching, InputAxis, InputBuffers, Queue, RowLayout, Run,
    RunTimes, Step, queue,
};
use tidegate_inference::{DataType, Deadline, Shape, Tensor, TensorData};

const WIDTH: usize = 16;
const WARM_UP: usize = 20;
const COUNTED: usize = 10;

/// A model with two inputs and two outputs, whose batches are of `requests` requests of `rows` rows.
struct House {
    queue: Arc<Queue>,
    batcher: Batcher,
    buffers: InputBuffers,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    requests: usize,
    now: Instant,
}

impl House {
    fn new(requests: usize, rows: usize) -> Self {
        let cap = NonZeroUsize::new(requests * rows).unwrap();
        let policy = BatchPolicy::new(cap, cap, Duration::ZERO).unwrap();
        let axis = InputAxis::Rows(0);
        let layout = RowLayout { inputs: vec![axis, axis], outputs: vec![0, 0] };
        let (queue, batcher) =
            queue(Batching::Rows { layout, policy }, NonZeroUsize::new(256).unwrap());
        Self {
            queue,
            batcher,
            buffers: InputBuffers::default(),
            inputs: vec![tensor("a", rows), tensor("b", rows)],
            outputs: vec![tensor("y", requests * rows), tensor("z", requests * rows)],
            requests,
            now: Instant::now(),
        }
    }

    fn submit(&self, inputs: Vec<Tensor>) -> Answer {
        let deadline = Deadline::after(self.now, Duration::from_secs(60));
        self.queue.submit(inputs, deadline, self.now).unwrap()
    }

    fn submit_all(&self) -> Vec<Answer> {
        (0..self.requests).map(|_| self.submit(self.inputs.clone())).collect()
    }

    /// One batch, as a worker meets it.
    fn work(&mut self, outputs: Vec<Tensor>) {
        let now = self.now;
        let Step::Dispatch(batch) = self.batcher.step(now) else { panic!("a batch is due") };
        assert_eq!(batch.requests(), self.requests);
        drop(batch.gather(&mut self.buffers).unwrap());
        let times = RunTimes { dispatched: now, gathered: now, executed: now, scattered: now };
        let ticket = batch.ticket();
        batch.scatter(outputs, times);
        let run = Run { execution: Some(Duration::from_millis(1)), ..Run::default() };
        self.batcher.finished(ticket, run, now);
    }

    /// Allocations of the worker for each of some batches.
    fn worker_in_steady_state(&mut self) -> Vec<usize> {
        let mut counts = Vec::new();
        for _ in 0..WARM_UP + COUNTED {
            let answers = self.submit_all();
            let outputs = self.outputs.clone();
            let (count, ()) = allocations_of(|| self.work(outputs));
            counts.push(count);
            for answer in answers {
                take(answer);
            }
        }
        counts.split_off(WARM_UP)
    }
}

fn take(answer: Answer) {
    let answered = answer.now_or_never().expect("answered").unwrap();
    assert_eq!(answered.outputs().len(), 2);
}

fn tensor(name: &str, rows: usize) -> Tensor {
    let data = TensorData::Fixed(Bytes::from(vec![0; rows * WIDTH * 4]));
    Tensor::new(name, DataType::Fp32, Shape::new(&[rows, WIDTH]), data).unwrap()
}

/// All counts are one number, which is this.
#[track_caller]
fn the_same(counts: &[usize]) -> usize {
    assert!(counts.iter().all(|count| *count == counts[0]), "not steady: {counts:?}");
    counts[0]
}

#[test]
fn a_row_more_costs_the_worker_no_allocation() {
    let of_rows = [1, 8, 64].map(|rows| the_same(&House::new(3, rows).worker_in_steady_state()));
    assert_eq!(of_rows, [of_rows[0]; 3]);
}

#[test]
fn a_request_more_costs_the_worker_no_allocation() {
    for requests in [1, 8, 64] {
        let count = the_same(&House::new(requests, 1).worker_in_steady_state());
        // The list of members, the list of views, and what the callers share: the outputs.
        assert_eq!(count, 3, "{requests} requests");
    }
}

#[test]
fn submitting_costs_one_allocation_whatever_the_request_and_the_queue_hold() {
    for rows in [1, 8, 64] {
        let house = House::new(1, rows);
        // What is made once for a process, or for a queue.
        let mut answers = Vec::with_capacity(201);
        answers.push(house.submit(house.inputs.clone()));
        for waiting in 0..200 {
            let inputs = house.inputs.clone();
            let (count, answer) = allocations_of(|| house.submit(inputs));
            answers.push(answer);
            // What caller and batcher share: the answer's place.
            assert_eq!(count, 1, "{rows} rows, {waiting} requests in front");
        }
    }
}

#[test]
fn taking_the_rows_costs_the_caller_one_allocation_however_many_they_are() {
    for rows in [1, 8, 64] {
        let mut house = House::new(2, rows);
        let answers = house.submit_all();
        let outputs = house.outputs.clone();
        house.work(outputs);
        for answer in answers {
            // The list of its outputs, which are windows into the batch's.
            assert_eq!(allocations_of(|| take(answer)).0, 1, "{rows} rows");
        }
    }
}
