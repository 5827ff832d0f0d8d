//! A queue for a model with one f32 input and output, its batcher, and a clock that only the test moves.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use tidegate_batcher::{
    Answer, Answered, Batch, BatchPolicy, Batcher, Batching, InputAxis, InputBuffers, Queue,
    RowLayout, Run, RunTimes, Step, Terms, ViewData, queue,
};
use tidegate_inference::{DataType, Deadline, Result, Shape, Tensor, TensorData};

pub const MS: Duration = Duration::from_millis(1);

pub struct Bench {
    pub queue: Arc<Queue>,
    pub batcher: Batcher,
    pub now: Instant,
}

impl Bench {
    pub fn new(batch_size: usize, max_batch_size: usize, max_queue_delay: Duration) -> Self {
        let policy =
            BatchPolicy::new(count(batch_size), count(max_batch_size), max_queue_delay).unwrap();
        Self::of_policy(policy)
    }

    /// Adaptive, and taught that a batch of so many rows takes so long.
    pub fn taught(max_batch_size: usize, points: &[(usize, Duration)]) -> Self {
        let mut bench = Self::of_policy(BatchPolicy::adaptive(count(max_batch_size)));
        bench.batcher.seed(&[tensor(&[1, 2], 0)], points, bench.now);
        bench
    }

    fn of_policy(policy: BatchPolicy) -> Self {
        let layout = RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] };
        Self::with(Batching::Rows { layout, policy }, 64)
    }

    pub fn with(batching: Batching, capacity: usize) -> Self {
        let (queue, batcher) = queue(batching, NonZeroUsize::new(capacity).unwrap());
        Self { queue, batcher, now: Instant::now() }
    }

    pub fn submit(&self, rows: usize) -> Answer {
        self.try_submit(tensor(&[rows, 2], 0)).unwrap()
    }

    pub fn try_submit(&self, input: Tensor) -> Result<Answer> {
        self.submit_until(input, Deadline::after(self.now, 3600 * 1000 * MS))
    }

    pub fn submit_until(&self, input: Tensor, deadline: Deadline) -> Result<Answer> {
        self.submit_on(input, deadline)
    }

    pub fn submit_on(&self, input: Tensor, terms: impl Into<Terms>) -> Result<Answer> {
        self.queue.submit(vec![input], terms, self.now)
    }

    pub fn later(&mut self, by: Duration) {
        self.now += by;
    }

    pub fn step(&mut self) -> Step {
        self.batcher.step(self.now)
    }

    /// The batch ran so long, and its callers have their answers.
    pub fn ran(&mut self, batch: Batch, execution: Duration) {
        let ticket = batch.ticket();
        self.now += execution;
        self.echo(batch);
        let run = Run { execution: Some(execution), ..Run::default() };
        self.batcher.finished(ticket, run, self.now);
    }

    #[track_caller]
    pub fn dispatched(&mut self) -> Batch {
        match self.step() {
            Step::Dispatch(batch) => batch,
            other => panic!("expected a batch, got {}", name(&other)),
        }
    }

    #[track_caller]
    pub fn waits_until(&mut self, instant: Instant) {
        match self.step() {
            Step::WaitUntil(until) => assert_eq!(until, instant),
            other => panic!("expected to wait, got {}", name(&other)),
        }
    }

    #[track_caller]
    pub fn is_idle(&mut self) {
        let step = self.step();
        assert!(matches!(step, Step::Idle), "expected to be idle, got {}", name(&step));
    }

    /// Answers a batch with its own input, as an identity model would.
    pub fn echo(&self, batch: Batch) {
        let mut buffers = InputBuffers::default();
        let outputs = batch
            .gather(&mut buffers)
            .unwrap()
            .iter()
            .map(|view| {
                let ViewData::Fixed(bytes) = view.data else { panic!("fixed data") };
                let data = TensorData::Fixed(Bytes::copy_from_slice(bytes));
                Tensor::new("y", view.datatype, view.shape.clone(), data).unwrap()
            })
            .collect();
        batch.scatter(outputs, self.run_times());
    }

    pub fn run_times(&self) -> RunTimes {
        let now = self.now;
        RunTimes { dispatched: now, gathered: now, executed: now, scattered: now }
    }
}

pub fn name(step: &Step) -> String {
    match step {
        Step::Dispatch(batch) => format!("a batch of {:?}", batch.facts()),
        Step::WaitUntil(_) => "a wait".into(),
        Step::Idle => "idle".into(),
        Step::Closed => "closed".into(),
    }
}

pub fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// FP32 values counting up from `first`.
pub fn tensor(shape: &[usize], first: usize) -> Tensor {
    let shape = Shape::new(shape);
    let values = (first..first + shape.elements().unwrap()).map(|value| value as f32);
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    Tensor::new("x", DataType::Fp32, shape, TensorData::Fixed(bytes.into())).unwrap()
}

#[track_caller]
pub fn answered(answer: Answer) -> Result<Answered> {
    answer.now_or_never().expect("answered by now")
}
