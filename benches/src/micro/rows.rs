//! Question: what does it cost to join the rows of a batch's requests, and to give each caller its own
//! rows back, over one memcpy of the same bytes?
//!
//! Baseline: each row is copied behind the one before it, into a buffer that is used again. *Gather*
//! makes the views that the engine is given. *Scatter* answers every request, and the caller takes its
//! outputs, which are as large as the inputs; rows on axis 0 are windows into the batch's output, so
//! nothing is copied. The *whole way* is submit, step, finished, gather, scatter and the callers' taking,
//! of one thread. Requests have one row each; rows are distinct memory, as bodies from the network are.
//!
//! A request that is alone in its batch is not copied at all, so there gather is faster than any memcpy.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_batcher::{
    Answer, Batch, BatchPolicy, Batcher, Batching, InputAxis, InputBuffers, Queue, RowLayout, Run,
    RunTimes, Step, concat_rows, queue,
};
use tidegate_inference::{DataType, Deadline, Shape, Tensor, TensorData};

use super::measure::{Arm, Case, Ways};

/// Requests under way at most; a power of two above the largest batch.
const CAPACITY: usize = 1024;
/// Bytes that are gathered between two looks at the clock, at most (but one batch always is).
const BYTES_AT_ONCE: usize = 64 << 20;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, unit) in [(64, "64 B"), (4 << 10, "4 KiB"), (600 << 10, "600 KiB")] {
        for members in [1, 4, 16, 64] {
            let name = format!("{members} x {unit}");
            let case = Case::new(name, move || Ways {
                arms: arms(size, members),
                bytes: Some(size * members),
            });
            // Of large rows, instructions count the memcpy and nothing else.
            cases.push(if size == 64 { case.counting(1000) } else { case });
        }
    }
    cases
}

fn arms(size: usize, members: usize) -> Vec<Arm> {
    let rows: Rc<[Tensor]> = (0..members).map(|seed| row(size, seed as u8)).collect();
    let bench = || Bench::new(Rc::clone(&rows));
    let (sources, mut target) = (Rc::clone(&rows), vec![0; size * members]);
    let (mut gather, mut scatter, mut whole) = (bench(), bench(), bench());
    vec![
        Arm::new("memcpy", move || {
            for (into, row) in target.chunks_exact_mut(size).zip(&*sources) {
                into.copy_from_slice(fixed(row));
            }
            black_box(&target);
        }),
        Arm::timed("gather", move |clock, times| {
            gather.in_lots(times, |bench, batches, _| {
                clock.time(|| batches.iter().for_each(|batch| bench.gather(batch)))
            })
        }),
        Arm::timed("scatter", move |clock, times| {
            scatter.in_lots(times, |bench, batches, answers| {
                clock.time(|| {
                    batches.into_iter().for_each(|batch| bench.scatter(batch));
                    answers.into_iter().for_each(take);
                })
            })
        }),
        Arm::new("the whole way", move || {
            let answers = whole.submit();
            let batch = whole.formed();
            whole.gather(&batch);
            whole.scatter(batch);
            answers.into_iter().for_each(take);
        }),
    ]
}

struct Bench {
    queue: Arc<Queue>,
    batcher: Batcher,
    buffers: InputBuffers,
    rows: Rc<[Tensor]>,
    outputs: Vec<Tensor>,
    now: Instant,
}

impl Bench {
    fn new(rows: Rc<[Tensor]>) -> Self {
        let size = NonZeroUsize::new(rows.len()).expect("a batch has a member");
        let policy = BatchPolicy::new(size, size, Duration::ZERO).expect("target is the cap");
        let layout = RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] };
        let capacity = NonZeroUsize::new(CAPACITY).expect("a constant above zero");
        let (queue, batcher) = queue(Batching::Rows { layout, policy }, capacity);
        let outputs = vec![concat_rows(0, &rows)];
        Self {
            queue,
            batcher,
            buffers: InputBuffers::default(),
            rows,
            outputs,
            now: Instant::now(),
        }
    }

    /// So many batches, some at a time: formed before the clock is read.
    fn in_lots(
        &mut self,
        times: u64,
        mut lot: impl FnMut(&mut Self, Vec<Batch>, Vec<Answer>) -> Duration,
    ) -> Duration {
        let bytes = self.rows.iter().map(Tensor::byte_size).sum::<usize>();
        let at_once = (CAPACITY / self.rows.len()).min(BYTES_AT_ONCE / bytes).max(1) as u64;
        let (mut left, mut took) = (times, Duration::ZERO);
        while left > 0 {
            let batches = left.min(at_once);
            left -= batches;
            let answers = (0..batches).flat_map(|_| self.submit()).collect();
            let batches = (0..batches).map(|_| self.formed()).collect();
            took += lot(self, batches, answers);
        }
        took
    }

    fn submit(&self) -> Vec<Answer> {
        let deadline = Deadline::after(self.now, Duration::from_secs(3600));
        let submit = |row: &Tensor| self.queue.submit(vec![row.clone()], deadline, self.now);
        self.rows.iter().map(|row| submit(row).expect("there is room")).collect()
    }

    fn formed(&mut self) -> Batch {
        match self.batcher.step(self.now) {
            Step::Dispatch(batch) if batch.requests() == self.rows.len() => {
                let run = Run { execution: Some(Duration::from_millis(1)), ..Run::default() };
                self.batcher.finished(batch.ticket(), run, self.now);
                batch
            }
            _ => panic!("the target was submitted, so a whole batch is due"),
        }
    }

    fn gather(&mut self, batch: &Batch) {
        black_box(batch.gather(&mut self.buffers).expect("there is memory"));
    }

    fn scatter(&self, batch: Batch) {
        let now = self.now;
        let times = RunTimes { dispatched: now, gathered: now, executed: now, scattered: now };
        batch.scatter(self.outputs.clone(), times);
    }
}

/// What the caller does.
fn take(answer: Answer) {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answered)) => drop(black_box(answered.outputs())),
        Poll::Ready(Err(error)) => panic!("the batch was answered with an error: {error}"),
        Poll::Pending => panic!("the batch was scattered, so its requests are answered"),
    }
}

fn row(size: usize, seed: u8) -> Tensor {
    let data = TensorData::Fixed(Bytes::from(vec![seed; size]));
    Tensor::new("x", DataType::Fp32, Shape::new(&[1, size / 4]), data).expect("whole floats")
}

fn fixed(tensor: &Tensor) -> &[u8] {
    match tensor.data() {
        TensorData::Fixed(bytes) => bytes,
        TensorData::Strings(_) => panic!("FP32 is fixed"),
    }
}
