//! Admission by time: a queue with a batcher that was told what runs take, and no worker. Nothing is ever
//! run here, so what waits keeps waiting; the margins are seconds, and no test waits for one.

use std::num::NonZeroUsize;

use bytes::Bytes;
use tidegate_batcher::{BatchPolicy, Batcher, Batching, InputAxis, RowLayout, queue};
use tidegate_inference::{
    DataType, Dim, ParameterValue, Parameters, Shape, TensorData, TensorSpec, VersionSelector,
};
use tidegate_telemetry::ModelMetrics;

use super::*;
use crate::{ModelRoute, Timing, TrafficSplit, Weight};

const SECOND: Duration = Duration::from_secs(1);
const BATCH: usize = 8;

/// A gateway with one model whose batches of 8 take 10 s and single rows 2 s.
struct Site {
    router: Arc<Router>,
    lane: Arc<Lane>,
    start: Instant,
    _batcher: Batcher,
}

impl Site {
    fn new(timing: Timing) -> Self {
        let policy = BatchPolicy::adaptive(NonZeroUsize::new(BATCH).unwrap());
        let layout = RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] };
        let batching = Batching::Rows { layout, policy };
        let (queue, mut batcher) = queue(batching, NonZeroUsize::new(64).unwrap());
        let start = Instant::now();
        batcher.seed(&[tensor(1)], &[(1, 2 * SECOND), (BATCH, 10 * SECOND)], start);
        let version = Version::new(1).unwrap();
        let lane = Arc::new(Lane {
            version,
            signature: Arc::new(signature()),
            queue,
            timing,
            metrics: Arc::new(ModelMetrics::unregistered()),
        });
        let router = Router::new(Limits::default());
        let split = TrafficSplit::new(&[(version, Weight::new(1).unwrap())].into()).unwrap();
        let lanes = [(version, Arc::clone(&lane))].into();
        let route = ModelRoute { split: Some(Arc::new(split)), lanes };
        let routes = [(model(), route)].into();
        router.publish(RouteTable { catalog: Arc::default(), routes });
        Self { router, lane, start, _batcher: batcher }
    }

    fn plain() -> Self {
        Self::new(Timing::default())
    }

    /// Somebody waits, with so many rows; for as long as the answer is held.
    #[must_use]
    fn waiting(&self, rows: usize) -> Answer {
        let deadline = Deadline::after(self.start, 3600 * SECOND);
        self.lane.queue.submit(vec![tensor(rows)], deadline, self.start).unwrap()
    }

    fn admit(&self, timeout: Duration) -> Result<Passage> {
        let head = RequestHead {
            model: model(),
            selector: VersionSelector::Weighted,
            received: self.start,
            deadline: Deadline::after(self.start, timeout),
        };
        self.router.admit(&head, self.router.permit(0)?)
    }

    fn request(&self, rows: usize, timeout: Option<Duration>, priority: Priority) -> Request {
        Request {
            inputs: vec![tensor(rows)],
            outputs: Vec::new(),
            parameters: Parameters::from([("any".to_owned(), ParameterValue::Bool(true))]),
            deadline: timeout.map(|timeout| Deadline::after(self.start, timeout)),
            priority,
            timeline: Timeline::starting(self.start),
        }
    }
}

fn model() -> ModelName {
    ModelName::new("m").unwrap()
}

fn signature() -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: DataType::Uint8,
        shape: vec![Dim::Dynamic],
    };
    Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
}

fn tensor(rows: usize) -> Tensor {
    let data = TensorData::Fixed(Bytes::from(vec![0; rows]));
    Tensor::new("x", DataType::Uint8, Shape::new(&[rows]), data).unwrap()
}

fn refusal<T>(result: Result<T>) -> Error {
    result.err().expect("a refusal")
}

#[test]
fn who_finds_nobody_waiting_is_taken_however_short_the_time() {
    let site = Site::plain();
    assert!(site.admit(Duration::from_nanos(1)).is_ok());
}

#[test]
fn the_head_alone_is_refused_when_the_queue_ahead_takes_too_long() {
    let site = Site::plain();
    let _ahead = site.waiting(BATCH);
    // One full batch ahead, and one's own will be full as well by its turn: 20 s and a margin.
    let refused = refusal(site.admit(11 * SECOND));
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    let wait = refused.retry_after().unwrap();
    assert!((20 * SECOND..=25 * SECOND).contains(&wait), "{wait:?}");
    let (wait, message) = (wait.as_secs_f64() * 1e3, refused.message());
    let expected = format!(
        "model 'm' version 1: predicted to be answered in {wait:.3} ms, after its deadline in 11000.000 ms"
    );
    assert_eq!(message, expected);
    assert!(site.admit(26 * SECOND).is_ok());
}

#[test]
fn a_refused_head_gives_its_permit_back_and_was_never_accepted() {
    let site = Site::plain();
    let _ahead = site.waiting(BATCH);
    assert!(site.admit(SECOND).is_err());
    assert_eq!(site.router.in_flight(), 0);
}

#[tokio::test]
async fn the_body_is_judged_by_its_rows_and_its_own_timeout() {
    let site = Site::plain();
    let _ahead = site.waiting(BATCH);
    let judged = async |rows, timeout| {
        let mut passage = site.admit(25 * SECOND).unwrap();
        refusal(passage.infer(site.request(rows, timeout, Priority::DEFAULT)).await)
    };
    let large = judged(BATCH * 4, None).await;
    let hasty = judged(1, Some(5 * SECOND)).await;
    for refused in [large, hasty] {
        assert_eq!(refused.kind(), ErrorKind::Overloaded, "{refused}");
        assert!(refused.message().contains("version 1: predicted to be answered in"), "{refused}");
    }
    assert_eq!(site.lane.queue.len(), 1, "neither entered the queue");
}

#[tokio::test(start_paused = true)]
async fn who_would_overtake_is_not_refused_for_those_it_overtakes() {
    let site = Site::plain();
    let _ahead = site.waiting(BATCH);
    let [urgent, patient] = [1, 10].map(Priority::from_wire);
    let asked = async |timeout, priority| {
        let mut passage = site.admit(timeout)?;
        let answered = passage.infer(site.request(1, None, priority)).await;
        Ok::<_, Error>(refusal(answered).kind())
    };
    assert!(asked(11 * SECOND, urgent).await.is_err(), "nobody has been urgent here before");
    // Nothing runs here, so who is taken is told so at its deadline.
    assert_eq!(asked(25 * SECOND, urgent).await, Ok(ErrorKind::DeadlineExceeded));
    // From now on a head may be an urgent one's, and the body decides.
    assert_eq!(asked(11 * SECOND, urgent).await, Ok(ErrorKind::DeadlineExceeded));
    assert_eq!(asked(11 * SECOND, Priority::DEFAULT).await, Ok(ErrorKind::Overloaded));
    assert_eq!(asked(11 * SECOND, patient).await, Ok(ErrorKind::Overloaded));
}

#[test]
fn with_an_slo_it_is_the_target_that_has_to_be_met() {
    let site = Site::new(Timing { slo: Some(5 * SECOND), request_timeout: None });
    assert!(site.admit(600 * SECOND).is_ok(), "nobody is waiting");
    let _ahead = site.waiting(BATCH);
    let refused = refusal(site.admit(600 * SECOND));
    assert!(refused.message().contains("after its target (slo) in 5000.000 ms"), "{refused}");
    let hasty = refusal(site.admit(4 * SECOND));
    assert!(hasty.message().contains("after its deadline in 4000.000 ms"), "{hasty}");
}

#[tokio::test(start_paused = true)]
async fn the_slo_of_a_request_that_came_in_slowly_counts_from_its_end() {
    let site = Site::new(Timing { slo: Some(25 * SECOND), request_timeout: None });
    let mut passage = site.admit(600 * SECOND).unwrap();
    let _ahead = site.waiting(BATCH);
    // Its head came half a minute ago: counted from there, its target would be over.
    let mut request = site.request(1, None, Priority::DEFAULT);
    request.timeline = Timeline::starting(site.start.checked_sub(30 * SECOND).unwrap());
    // Nothing runs here, so who is taken is told so at its deadline.
    let ended = refusal(passage.infer(request).await);
    assert_eq!(ended.kind(), ErrorKind::DeadlineExceeded, "{ended}");
}

#[tokio::test]
async fn the_soonest_of_caller_body_and_model_is_the_deadline() {
    let site = Site::new(Timing { slo: None, request_timeout: Some(9 * SECOND) });
    let left = |passage: &Passage| passage.deadline().left(site.start);
    assert_eq!(left(&site.admit(20 * SECOND).unwrap()), 9 * SECOND);
    assert_eq!(left(&site.admit(7 * SECOND).unwrap()), 7 * SECOND);
    let mut passage = site.admit(7 * SECOND).unwrap();
    let past =
        passage.infer(site.request(1, Some(Duration::from_nanos(1)), Priority::DEFAULT)).await;
    assert_eq!(left(&passage), Duration::from_nanos(1));
    let refused = refusal(past);
    assert_eq!(refused.kind(), ErrorKind::DeadlineExceeded);
    assert!(refused.message().contains("Request timeout expired after"), "{refused}");
    assert!(refused.message().ends_with("before it was queued"), "{refused}");
    assert!(site.lane.queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_answered_is_told_at_the_deadline() {
    let site = Site::plain();
    let mut passage = site.admit(7 * SECOND).unwrap();
    let refused = refusal(passage.infer(site.request(1, None, Priority::DEFAULT)).await);
    assert_eq!(
        refused.message(),
        "model 'm' version 1: Request timeout expired after 7000.000 ms, in the queue or in execution"
    );
}

#[test]
fn a_lane_that_left_the_table_takes_those_who_hold_it_and_closes_behind_the_last() {
    let Site { router, lane, start, _batcher } = Site::plain();
    let queue = Arc::clone(&lane.queue);
    let deadline = Deadline::after(start, 3600 * SECOND);
    let submit = || queue.submit(vec![tensor(1)], deadline, start);
    router.publish(RouteTable::default());
    assert!(submit().is_ok());
    drop(lane);
    assert_eq!(submit().err().unwrap().kind(), ErrorKind::Unavailable);
}
