//! What a worker asks of the allocator for each batch, from one run of its engine to the next: it
//! scatters, records, takes turns with the batcher, sleeps, and gathers.
//!
//! The engine here hands out the same outputs again and again, and looks at the counter when it is called
//! and when it returns, so what it allocates itself is not counted.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../batcher/tests/counting/mod.rs"]
mod counting;

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use counting::allocations;
use tidegate_backend::{Care, Instance, InstanceGroup, LoadError, Rebuild, RunFailure};
use tidegate_batcher::{Answer, BatchPolicy, Batching, InputAxis, RowLayout, TensorView, queue};
use tidegate_inference::{DataType, Deadline, Shape, Tensor, TensorData};
use tidegate_telemetry::ModelMetrics;

const WARM_UP: usize = 20;
const COUNTED: usize = 10;

/// Gives the same outputs to every batch.
struct Steady {
    outputs: Vec<Tensor>,
    /// What the counter said when the last run returned.
    returned: usize,
    /// Allocations of the worker since the run before, for each run.
    between: Arc<Mutex<Vec<usize>>>,
}

impl Instance for Steady {
    fn run(&mut self, _: &[TensorView<'_>]) -> Result<Vec<Tensor>, RunFailure> {
        let since = allocations() - self.returned;
        self.between.lock().unwrap().push(since);
        let outputs = self.outputs.clone();
        self.returned = allocations();
        Ok(outputs)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait(answer: Answer) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut answer = pin!(answer);
    loop {
        if let Poll::Ready(result) = answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            return drop(result.unwrap());
        }
        thread::park();
    }
}

fn tensor(rows: usize) -> Tensor {
    let data = TensorData::Fixed(Bytes::from(vec![0; rows * 64]));
    Tensor::new("x", DataType::Fp32, Shape::new(&[rows, 16]), data).unwrap()
}

/// Allocations of the one worker for a batch of `requests` requests of `rows` rows each.
fn in_steady_state(requests: usize, rows: usize) -> usize {
    let size = NonZeroUsize::new(requests * rows).unwrap();
    let layout = RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] };
    let policy = BatchPolicy::new(size, size, Duration::from_secs(3600)).unwrap();
    let (queue, batcher) =
        queue(Batching::Rows { layout, policy }, NonZeroUsize::new(256).unwrap());
    let between = Arc::new(Mutex::new(Vec::with_capacity(WARM_UP + COUNTED)));
    let engine = Steady {
        outputs: vec![tensor(requests * rows)],
        returned: 0,
        between: Arc::clone(&between),
    };
    let metrics = Arc::new(ModelMetrics::unregistered());
    let care = Care::new(Rebuild::new(|| Err(LoadError::new("there is no other"))));
    let group =
        InstanceGroup::start("steady", vec![Box::new(engine)], batcher, metrics, care).unwrap();
    let input = tensor(rows);
    for _ in 0..WARM_UP + COUNTED {
        let submit = |_| {
            let now = Instant::now();
            let deadline = Deadline::after(now, Duration::from_secs(600));
            queue.submit(vec![input.clone()], deadline, now).unwrap()
        };
        // The batch goes with its last request, so each is of all of them.
        let answers: Vec<Answer> = (0..requests).map(submit).collect();
        answers.into_iter().for_each(wait);
    }
    queue.close();
    group.join();
    let counts = between.lock().unwrap().split_off(WARM_UP);
    assert_eq!(counts, [counts[0]; COUNTED], "{requests} requests of {rows} rows: not steady");
    counts[0]
}

#[test]
fn a_row_more_costs_the_worker_no_allocation() {
    let of_rows = [1, 8, 64].map(|rows| in_steady_state(3, rows));
    assert_eq!(of_rows, [of_rows[0]; 3]);
}

#[test]
fn a_request_more_costs_the_worker_no_allocation() {
    for requests in [1, 8, 64] {
        // The list of members, the list of views, and what the callers share: the outputs. For the
        // watchdog: the list of promises, and the batch itself, which it shares during the run.
        assert_eq!(in_steady_state(requests, 1), 5, "{requests} requests");
    }
}
