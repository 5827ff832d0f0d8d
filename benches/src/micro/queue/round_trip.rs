//! Requests of one small row, batched by one consumer and answered with a row each. A producer has a
//! window of requests under way, as a thread of the gateway has many connections, and waits for all
//! of them before it sends the next; both sides park when there is nothing to do.
//!
//! The channels' arm is what one would write without a batcher of one's own. It has no shapes to
//! tell apart, no deadlines, no callers that leave and no places to give back.

use std::num::NonZeroUsize;
use std::task::Context;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_batcher::{
    BatchPolicy, Batcher, Batching, InputAxis, RowLayout, Run, RunTimes, Step, concat_rows, queue,
    slice_rows,
};
use tidegate_inference::{DataType, Deadline, Shape, Tensor, TensorData};
use tokio::sync::{mpsc, oneshot};

use super::CAPACITY;
use super::wait::{block_on, block_on_poll, unparker};

/// Requests that a producer has under way.
const WINDOW: usize = 32;
const MAX_BATCH: NonZeroUsize = NonZeroUsize::new(64).expect("sixty-four is not zero");

pub fn queue_and_batcher(producers: usize, each: usize) -> Duration {
    // As the gateway has it by default.
    let policy = BatchPolicy::adaptive(MAX_BATCH);
    let layout = RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] };
    let capacity = NonZeroUsize::new(CAPACITY).expect("a constant above zero");
    let (queue, batcher) = queue(Batching::Rows { layout, policy }, capacity);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| answer_batches(batcher));
        thread::scope(|scope| {
            for _ in 0..producers {
                scope.spawn(|| {
                    let row = row();
                    in_windows(each, |window| {
                        let submit = |_| {
                            let now = Instant::now();
                            let deadline = Deadline::after(now, Duration::from_secs(60));
                            queue.submit(vec![row.clone()], deadline, now).expect("there is room")
                        };
                        let answers: Vec<_> = (0..window).map(submit).collect();
                        for answer in answers {
                            block_on(answer).expect("every request is answered").outputs();
                        }
                    });
                });
            }
        });
        queue.close();
    });
    start.elapsed()
}

fn answer_batches(mut batcher: Batcher) {
    let outputs = concat_rows(0, &vec![row(); MAX_BATCH.get()]);
    let waker = unparker();
    loop {
        let now = Instant::now();
        match batcher.step(now) {
            Step::Dispatch(batch) => {
                let output = slice_rows(&outputs, 0, 0..batch.rows());
                let times =
                    RunTimes { dispatched: now, gathered: now, executed: now, scattered: now };
                let ticket = batch.ticket();
                batch.scatter(vec![output], times);
                let end = Instant::now();
                let run = Run { execution: Some(end - now), ..Run::default() };
                batcher.finished(ticket, run, end);
            }
            Step::WaitUntil(until) => {
                let context = &mut Context::from_waker(&waker);
                if batcher.poll_news(context).is_pending() {
                    thread::park_timeout(until.saturating_duration_since(Instant::now()));
                }
            }
            Step::Idle => block_on_poll(|context| batcher.poll_news(context)),
            Step::Closed => return,
        }
    }
}

type Call = (Vec<Tensor>, oneshot::Sender<Vec<Tensor>>);

pub fn mpsc_and_oneshot(producers: usize, each: usize) -> Duration {
    let (sender, receiver) = mpsc::channel::<Call>(CAPACITY);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| answer_calls(receiver));
        thread::scope(|scope| {
            for _ in 0..producers {
                scope.spawn(|| {
                    let row = row();
                    in_windows(each, |window| {
                        let submit = |_| {
                            let (reply, answer) = oneshot::channel();
                            let sent = sender.try_send((vec![row.clone()], reply));
                            assert!(sent.is_ok(), "there is room");
                            answer
                        };
                        let answers: Vec<_> = (0..window).map(submit).collect();
                        for answer in answers {
                            block_on(answer).expect("every request is answered");
                        }
                    });
                });
            }
        });
        drop(sender);
    });
    start.elapsed()
}

fn answer_calls(mut receiver: mpsc::Receiver<Call>) {
    let outputs = concat_rows(0, &vec![row(); MAX_BATCH.get()]);
    let mut calls = Vec::with_capacity(MAX_BATCH.get());
    while block_on(receiver.recv_many(&mut calls, MAX_BATCH.get())) > 0 {
        for (index, (_, reply)) in calls.drain(..).enumerate() {
            // A caller that is gone wants no answer.
            let _ = reply.send(vec![slice_rows(&outputs, 0, index..index + 1)]);
        }
    }
}

fn in_windows(each: usize, mut window: impl FnMut(usize)) {
    for start in (0..each).step_by(WINDOW) {
        window(WINDOW.min(each - start));
    }
}

fn row() -> Tensor {
    let data = TensorData::Fixed(Bytes::from_static(&[0; 64]));
    Tensor::new("x", DataType::Fp32, Shape::new(&[1, 16]), data).expect("sixteen values")
}
