//! Question: what does it cost to choose a version by weight, and to be let in at all (permit, route
//! table, choice, a look at the forecast, and giving the permit back), over the one `fetch_add` that any counter of requests would cost?
//!
//! Admission is measured as ingress sees it, through `Router::admit`; the permit alone is not public.
//! The passage is dropped unsettled, which counts one caller that went away: one more relaxed add.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_batcher::{Batching, Queue, queue};
use tidegate_inference::{
    Admission, Deadline, ModelName, RequestHead, Signature, Version, VersionSelector,
};
use tidegate_router::{Lane, Limits, ModelRoute, RouteTable, Router, Timing, TrafficSplit, Weight};
use tidegate_telemetry::ModelMetrics;

use super::measure::{Arm, Case, Clock};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![Case::new("version by weight, 90:10", choice).counting(10_000)];
    for models in [1, 1000] {
        cases.push(
            Case::new(format!("admission, {models} models"), move || admission(models))
                .counting(10_000),
        );
    }
    cases.push(Case::new("admission, 2 threads", contended));
    cases
}

fn choice() -> Vec<Arm> {
    let (counter, split) = (AtomicU64::new(0), split());
    vec![
        Arm::new("fetch_add", move || counter.fetch_add(1, Ordering::Relaxed)),
        Arm::new("TrafficSplit::pick", move || split.pick()),
    ]
}

fn admission(models: usize) -> Vec<Arm> {
    let counter = AtomicU64::new(0);
    let (router, head) = (router(models), head(models / 2));
    vec![
        Arm::new("fetch_add", move || counter.fetch_add(1, Ordering::Relaxed)),
        Arm::new("Router::admit", move || drop(black_box(admitted(&router, &head)))),
    ]
}

fn admitted(router: &Router, head: &RequestHead) -> impl Sized {
    let permit = router.permit(200).expect("little is in flight");
    router.admit(head, permit).expect("it is ready")
}

/// Both threads use the same counters, as the threads of a gateway do.
fn contended() -> Vec<Arm> {
    let counter = AtomicU64::new(0);
    let (router, head) = (router(1), head(0));
    vec![
        Arm::timed("fetch_add", move |clock, times| {
            on_two_threads(clock, times, || counter.fetch_add(1, Ordering::Relaxed))
        }),
        Arm::timed("Router::admit", move |clock, times| {
            on_two_threads(clock, times, || drop(admitted(&router, &head)))
        }),
    ]
}

/// CPU time of one of them, on average.
fn on_two_threads<T>(clock: Clock, times: u64, operation: impl Fn() -> T + Sync) -> Duration {
    let together = Barrier::new(2);
    let one = || {
        together.wait();
        clock.time(|| {
            for _ in 0..times {
                black_box(operation());
            }
        })
    };
    thread::scope(|scope| {
        let other = scope.spawn(one);
        let here = one();
        (here + other.join().expect("it only counts")) / 2
    })
}

fn split() -> TrafficSplit {
    let weight = |weight| Weight::new(weight).expect("a small number");
    let weights = BTreeMap::from([(version(1), weight(90)), (version(2), weight(10))]);
    TrafficSplit::new(&weights).expect("not all are zero")
}

fn router(models: usize) -> Arc<Router> {
    let routes = (0..models).map(|number| (name(number), route())).collect();
    let router = Router::new(Limits::default());
    router.publish(RouteTable { routes, ..RouteTable::default() });
    router
}

fn route() -> ModelRoute {
    let lane = |number| {
        let signature = Arc::new(Signature { inputs: Vec::new(), outputs: Vec::new() });
        let (version, metrics) = (version(number), Arc::new(ModelMetrics::unregistered()));
        let (queue, timing) = (busy_queue(), Timing::default());
        (version, Arc::new(Lane { version, signature, queue, timing, metrics }))
    };
    ModelRoute { split: Some(Arc::new(split())), lanes: [lane(1), lane(2)].into() }
}

/// One whose latency is known and in which somebody waits: only then is the forecast asked.
fn busy_queue() -> Arc<Queue> {
    let now = Instant::now();
    let (queue, mut batcher) = queue(Batching::Unbatched, NonZeroUsize::MIN);
    batcher.seed(&[], &[(1, Duration::from_millis(1))], now);
    let deadline = Deadline::after(now, Duration::from_secs(3600));
    queue.submit(Vec::new(), deadline, now).expect("there is room for one");
    queue
}

fn head(model: usize) -> RequestHead {
    let received = Instant::now();
    RequestHead {
        model: name(model),
        selector: VersionSelector::Weighted,
        received,
        deadline: Deadline::after(received, Duration::from_secs(3600)),
    }
}

fn name(number: usize) -> ModelName {
    ModelName::new(&format!("model-{number}")).expect("letters and digits")
}

fn version(number: u64) -> Version {
    Version::new(number).expect("not zero")
}
