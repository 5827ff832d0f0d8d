//! Claims about the workers, on the mock. Threads are real, but nothing sleeps: the mock's gate says
//! when a worker is busy.

use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tidegate_batcher::{
    Answer, Answered, BatchPolicy, Batching, InputAxis, Queue, RowLayout, queue,
};
use tidegate_inference::{
    CloseReason, DataType, Deadline, Dim, ErrorKind, Result as AnswerResult, Shape, Signature,
    Tensor, TensorData, TensorSpec,
};

use super::*;
use crate::{Backend, LoadOptions, MockBackend};

struct House {
    mock: MockBackend,
    queue: Arc<Queue>,
    group: InstanceGroup,
}

fn house(instances: usize, max_queue_delay: Duration) -> House {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: DataType::Uint8,
        shape: vec![Dim::Dynamic],
    };
    let mock = MockBackend::echo(Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] });
    let size = |size| NonZeroUsize::new(size).unwrap();
    let options = LoadOptions { instances: size(instances), intra_op_threads: size(1) };
    let loaded = mock.load(Path::new(""), &options).unwrap();
    let batching = Batching::Rows {
        layout: RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] },
        policy: BatchPolicy::new(size(4), size(8), max_queue_delay).unwrap(),
    };
    let (queue, batcher) = queue(batching, size(64));
    let metrics = Arc::new(ModelMetrics::unregistered());
    let group =
        InstanceGroup::start("tidegate-mock-1", loaded.instances, batcher, metrics).unwrap();
    House { mock, queue, group }
}

impl House {
    fn submit(&self, row: u8) -> Answer {
        let data = TensorData::Fixed(vec![row].into());
        let x = Tensor::new("x", DataType::Uint8, Shape::new(&[1]), data).unwrap();
        let now = Instant::now();
        self.queue.submit(vec![x], Deadline::after(now, Duration::from_secs(60)), now).unwrap()
    }

    fn rows_of_runs(&self) -> Vec<usize> {
        self.mock.runs().iter().map(|run| run.shapes[0][0]).collect()
    }

    fn close(self) {
        self.queue.close();
        self.group.join();
    }
}

fn wait(answer: Answer) -> AnswerResult<Answered> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut answer = pin!(answer);
    loop {
        if let Poll::Ready(result) = answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        thread::park();
    }
}

fn row(answered: &Answered) -> u8 {
    let outputs = answered.outputs();
    let TensorData::Fixed(bytes) = outputs[0].data() else { panic!("fixed") };
    bytes[0]
}

#[test]
fn the_next_worker_leads_while_the_first_one_runs() {
    let house = house(2, Duration::ZERO);
    house.mock.hold();
    let first = house.submit(1);
    house.mock.wait_until_held(1);
    let second = house.submit(2);
    house.mock.wait_until_held(2);
    house.mock.open();
    assert_eq!([row(&wait(first).unwrap()), row(&wait(second).unwrap())], [1, 2]);
    let mut threads: Vec<String> = house.mock.runs().into_iter().map(|run| run.thread).collect();
    threads.sort();
    assert_eq!(threads, ["tidegate-mock-0", "tidegate-mock-1"]);
    house.close();
}

#[test]
fn what_arrives_while_all_are_busy_shares_the_next_batch() {
    let house = house(1, Duration::ZERO);
    house.mock.hold();
    let first = house.submit(0);
    house.mock.wait_until_held(1);
    let others: Vec<Answer> = (1..=3).map(|row| house.submit(row)).collect();
    house.mock.open();
    let first = wait(first).unwrap();
    assert_eq!((first.batch.rows, first.batch.closed_by), (1, CloseReason::Eager));
    for (answer, expected) in others.into_iter().zip(1..) {
        let answered = wait(answer).unwrap();
        assert_eq!((row(&answered), answered.batch.requests), (expected, 3));
        let times = answered.times;
        assert!(times.dispatched <= times.gathered && times.gathered <= times.executed);
    }
    assert_eq!(house.rows_of_runs(), [1, 3]);
    house.close();
}

#[test]
fn a_leader_waits_for_company_and_then_goes_without() {
    let house = house(2, Duration::from_millis(2));
    let alone = wait(house.submit(1)).unwrap();
    assert_eq!(alone.batch.closed_by, CloseReason::Delay);
    house.close();
}

#[test]
fn enough_rows_end_the_wait_of_a_parked_leader() {
    let house = house(1, Duration::from_secs(3600));
    let answers: Vec<Answer> = (0..4).map(|row| house.submit(row)).collect();
    for answer in answers {
        assert_eq!(wait(answer).unwrap().batch.closed_by, CloseReason::Target);
    }
    house.close();
}

#[test]
fn a_failed_batch_fails_its_members_and_the_worker_goes_on() {
    let house = house(1, Duration::from_secs(3600));
    house.mock.fail_when(|inputs| inputs[0].shape[0] == 4);
    let answers: Vec<Answer> = (0..4).map(|row| house.submit(row)).collect();
    for answer in answers {
        assert_eq!(wait(answer).unwrap_err().kind(), ErrorKind::ModelFailed);
    }
    house.mock.fail_when(|_| false);
    let answers: Vec<Answer> = (0..4).map(|row| house.submit(row)).collect();
    assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
    house.close();
}

#[test]
fn a_panicking_engine_fails_its_batch_and_not_its_worker() {
    let house = house(1, Duration::ZERO);
    house.mock.panic_when(|_| true);
    let error = wait(house.submit(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelFailed);
    assert!(error.message().contains("the mock was told to panic"), "{error}");
    house.mock.panic_when(|_| false);
    assert_eq!(row(&wait(house.submit(2)).unwrap()), 2);
    house.close();
}

#[test]
fn closing_answers_what_is_inside_and_ends_the_workers() {
    let house = house(3, Duration::from_secs(3600));
    let answers = [house.submit(1), house.submit(2)];
    house.close();
    let rows = answers.map(|answer| row(&wait(answer).unwrap()));
    assert_eq!(rows, [1, 2]);
}

#[test]
fn a_long_thread_name_keeps_its_number() {
    assert_eq!(short_name("tidegate-digits-2", 0), "tidegate-digi-0");
    assert_eq!(short_name("tidegate-dígíts", 12), "tidegate-dí-12");
    assert_eq!(short_name("m-1", 3), "m-1-3");
}

/// Four callers, each of whom waits for its answer before it asks again, so that the workers fall
/// asleep and are woken all the time: a forgotten request would hang its caller.
#[test]
fn among_three_workers_no_request_is_slept_on() {
    let house = house(3, Duration::from_micros(50));
    thread::scope(|scope| {
        for caller in 0..4 {
            let house = &house;
            scope.spawn(move || {
                for _ in 0..2_000 {
                    assert_eq!(row(&wait(house.submit(caller)).unwrap()), caller);
                }
            });
        }
    });
    house.close();
}
