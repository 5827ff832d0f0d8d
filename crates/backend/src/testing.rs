//! What this crate's tests share: a queue, a group of workers and the mock that they run.
//!
//! Its model answers each row with itself.

use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tidegate_batcher::{
    Answer, Answered, BatchPolicy, Batching, InputAxis, Queue, RowLayout, TensorView, ViewData,
    queue,
};
use tidegate_inference::{
    DataType, Deadline, Dim, Result as AnswerResult, Shape, Signature, Tensor, TensorData,
    TensorSpec,
};
use tidegate_telemetry::ModelMetrics;

use crate::group::Pace;
use crate::health::Backoff;
use crate::watchdog::Watchdog;
use crate::{Backend, Care, Fitness, InstanceGroup, LoadOptions, MockBackend};

pub struct House {
    pub mock: MockBackend,
    pub queue: Arc<Queue>,
    pub news: Receiver<Fitness>,
    /// It looks only when a test tells it to.
    watchdog: Arc<Watchdog>,
    pub group: InstanceGroup,
}

const HOUR: Duration = Duration::from_secs(3600);

impl House {
    /// Batches of 4 rows go at once, and none has more than 8.
    pub fn with(instances: usize, max_queue_delay: Duration) -> Self {
        let size = |size| NonZeroUsize::new(size).unwrap();
        let policy = BatchPolicy::new(size(4), size(8), max_queue_delay).unwrap();
        Self::of(instances, policy)
    }

    /// One instance, and nothing goes before so many rows are together.
    pub fn together(rows: usize) -> Self {
        let rows = NonZeroUsize::new(rows).unwrap();
        Self::of(1, BatchPolicy::new(rows, rows, HOUR).unwrap())
    }

    fn of(instances: usize, policy: BatchPolicy) -> Self {
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            datatype: DataType::Uint8,
            shape: vec![Dim::Dynamic],
        };
        let mock =
            MockBackend::echo(Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] });
        let size = |size| NonZeroUsize::new(size).unwrap();
        let options = LoadOptions { instances: size(instances), intra_op_threads: size(1) };
        let loaded = mock.load(Path::new(""), &options).unwrap();
        let batching = Batching::Rows {
            layout: RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] },
            policy,
        };
        let (queue, batcher) = queue(batching, size(128));
        let (sender, news) = mpsc::channel();
        let sender = Mutex::new(sender);
        let brief = Duration::from_millis(1);
        let care = Care {
            probe: Some(vec![rows(&[0])]),
            max_execution_time: HOUR,
            hears: Box::new(move |fitness| drop(sender.lock().unwrap().send(fitness))),
            pace: Pace { grace: HOUR, backoff: Backoff { first: brief, longest: brief } },
            ..Care::new(loaded.rebuild)
        };
        let metrics = Arc::new(ModelMetrics::unregistered());
        let watchdog = Arc::new(Watchdog::asleep());
        let group = InstanceGroup::watched_by(
            Arc::clone(&watchdog),
            "tidegate-mock-1",
            loaded.instances,
            batcher,
            metrics,
            care,
        );
        Self { mock, queue, news, watchdog, group: group.unwrap() }
    }

    /// Waits until so many runs have hung, and lets the watchdog see what it would see hours later: it tells
    /// them to end.
    pub fn end_the_hanging(&self, hung: usize) {
        self.mock.wait_until_hung(hung);
        self.watchdog.look(Instant::now() + 2 * HOUR);
    }

    /// The same, still later: they have not come back, and are given up.
    pub fn give_up_the_stuck(&self, hung: usize) {
        self.end_the_hanging(hung);
        self.watchdog.look(Instant::now() + 4 * HOUR);
    }

    pub fn submit(&self, row: u8) -> Answer {
        submit(&self.queue, &[row])
    }

    /// One request for each row.
    pub fn submit_all(&self, rows: impl IntoIterator<Item = u8>) -> Vec<Answer> {
        rows.into_iter().map(|row| self.submit(row)).collect()
    }

    pub fn rows_of_runs(&self) -> Vec<usize> {
        self.mock.runs().iter().map(|run| run.shapes[0][0]).collect()
    }

    /// Says how many threads are stuck.
    pub fn close(self) -> usize {
        self.queue.close();
        self.group.join()
    }
}

pub fn submit(queue: &Queue, row: &[u8]) -> Answer {
    let now = Instant::now();
    let deadline = Deadline::after(now, Duration::from_secs(60));
    queue.submit(vec![rows(row)], deadline, now).unwrap()
}

fn rows(rows: &[u8]) -> Tensor {
    let data = TensorData::Fixed(rows.to_vec().into());
    Tensor::new("x", DataType::Uint8, Shape::new(&[rows.len()]), data).unwrap()
}

/// Whether a row is in the batch.
pub fn holds(row: u8) -> impl Fn(&[TensorView<'_>]) -> bool {
    move |inputs| match &inputs[0].data {
        ViewData::Fixed(rows) => rows.contains(&row),
        ViewData::Strings(_) => false,
    }
}

pub fn wait(answer: Answer) -> AnswerResult<Answered> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut answer = pin!(answer);
    loop {
        if let Poll::Ready(result) = answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub fn row(answered: &Answered) -> u8 {
    let outputs = answered.outputs();
    let TensorData::Fixed(bytes) = outputs[0].data() else { panic!("fixed") };
    bytes[0]
}
