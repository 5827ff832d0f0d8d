//! What is simulated, apart from the rule: one machine, its load, and what time things take.

use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_inference::Priority;

use super::callers::Callers;
use super::curve::ServiceCurve;
use super::service::Service;

#[derive(Clone, Debug)]
pub struct Setting {
    pub service: Service,
    pub callers: Callers,
    /// Each with a queue, a batcher and instances of its own.
    pub models: NonZeroUsize,
    /// The k-th model gets a share of requests in proportion to 1 / k^zipf.
    pub zipf: f64,
    pub instances: NonZeroUsize,
    pub max_batch_size: NonZeroUsize,
    pub queue_size: NonZeroUsize,
    /// Of each request.
    pub rows: usize,
    pub slo: Option<Duration>,
    pub timeout: Duration,
    /// Each request has one of them, all equally likely.
    pub priorities: Vec<Priority>,
    /// What warm-up has told the batcher; none where it begins without.
    pub believed: Option<ServiceCurve>,
    pub overheads: Overheads,
    /// Not recorded.
    pub warm_up: Duration,
    pub duration: Duration,
    pub seed: u64,
    /// Measure the real time that the batcher takes. It differs from run to run.
    pub cost: bool,
}

/// What the rest of a gateway adds. The wire is one thread, which each request passes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overheads {
    /// Of the wire's thread, half on the way in and half on the way out.
    pub request: Duration,
    /// From the moment a sleeping worker is woken, or its time has come, until it asks.
    pub wake_up: Duration,
}

impl Setting {
    /// One model, one instance, and nothing that disturbs.
    pub fn plain(curve: ServiceCurve, callers: Callers) -> Self {
        let count = |n| NonZeroUsize::new(n).expect("it is above zero");
        Self {
            service: Service {
                curve: curve.clone(),
                noise: Default::default(),
                neighbours: Vec::new(),
            },
            callers,
            models: count(1),
            zipf: 1.0,
            instances: count(1),
            max_batch_size: count(64),
            queue_size: count(1024),
            rows: 1,
            slo: None,
            timeout: Duration::from_secs(30),
            priorities: vec![Priority::DEFAULT],
            believed: Some(curve),
            overheads: Overheads::default(),
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(60),
            seed: 1,
            cost: false,
        }
    }

    /// Warm-up and recorded time.
    pub fn length(&self) -> Duration {
        self.warm_up + self.duration
    }

    /// Requests per second that all instances together could carry in their best batches.
    pub fn capacity(&self) -> f64 {
        let rows = self.service.curve.capacity(self.max_batch_size.get());
        rows * self.instances.get() as f64 * self.models.get() as f64 / self.rows as f64
    }
}
