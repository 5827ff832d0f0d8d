//! What one place says of a model: a section of the file, flags and variables, a `config.pbtxt`. Places lie over
//! one another, key by key, and only all together are they a configuration.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_inference::{Label, Version};

use crate::{BatchingConfig, ComputeThreads, ModelConfig, Target};

/// Silence is `None`. The keys mean what they mean in [`ModelConfig`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSettings {
    pub labels: Option<BTreeMap<Label, Version>>,
    pub weights: Option<BTreeMap<Target, u32>>,
    pub sharing: Option<Sharing>,
    pub batch_size: Option<NonZeroUsize>,
    pub max_batch_size: Option<NonZeroUsize>,
    pub max_queue_delay: Option<Duration>,
    pub max_queue_size: Option<NonZeroUsize>,
    pub slo: Option<Duration>,
    pub request_timeout: Option<Duration>,
    pub max_execution_time: Option<Duration>,
    pub instances: Option<NonZeroUsize>,
    pub intra_op_threads: Option<NonZeroUsize>,
}

/// Whether requests share batches. A place that says so has said all there is to say of it: the size and the
/// delay of the places behind it do not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Together,
    /// Each request alone, and why.
    Alone(&'static str),
}

impl ModelSettings {
    /// This place before the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let (batch_size, max_queue_delay) = match self.sharing {
            Some(_) => (None, None),
            None => (other.batch_size, other.max_queue_delay),
        };
        Self {
            labels: self.labels.or(other.labels),
            weights: self.weights.or(other.weights),
            sharing: self.sharing.or(other.sharing),
            batch_size: self.batch_size.or(batch_size),
            max_batch_size: self.max_batch_size.or(other.max_batch_size),
            max_queue_delay: self.max_queue_delay.or(max_queue_delay),
            max_queue_size: self.max_queue_size.or(other.max_queue_size),
            slo: self.slo.or(other.slo),
            request_timeout: self.request_timeout.or(other.request_timeout),
            max_execution_time: self.max_execution_time.or(other.max_execution_time),
            instances: self.instances.or(other.instances),
            intra_op_threads: self.intra_op_threads.or(other.intra_op_threads),
        }
    }

    /// Fills the gaps with what is usual.
    pub fn complete(self) -> ModelConfig {
        let usual = ModelConfig::default();
        let threads = ComputeThreads::or_of_this_machine(self.instances, self.intra_op_threads);
        let (batching, max_batch_size) = self.batching(&usual);
        ModelConfig {
            labels: self.labels.unwrap_or_default(),
            weights: self.weights.unwrap_or_default(),
            batching,
            max_batch_size,
            max_queue_size: self.max_queue_size.unwrap_or(usual.max_queue_size),
            slo: self.slo,
            request_timeout: self.request_timeout,
            max_execution_time: self.max_execution_time.unwrap_or(usual.max_execution_time),
            instances: threads.instances,
            intra_op_threads: threads.intra_op_threads,
            triton: None,
        }
    }

    /// Who writes a batch size or a delay has decided; nobody else need. Who names only one of the
    /// two sizes gets the other adapted, not an error about a default.
    fn batching(&self, usual: &ModelConfig) -> (BatchingConfig, NonZeroUsize) {
        let target = self.batch_size.unwrap_or(BatchingConfig::USUAL_BATCH_SIZE);
        let cap = match (self.max_batch_size, self.batch_size) {
            (Some(cap), _) => cap,
            (None, Some(target)) => usual.max_batch_size.max(target),
            (None, None) => usual.max_batch_size,
        };
        let batching = match (self.batch_size, self.max_queue_delay, self.sharing) {
            (None, None, Some(Sharing::Alone(reason))) => BatchingConfig::OneByOne { reason },
            (None, None, _) => BatchingConfig::Adaptive,
            (size, delay, _) => BatchingConfig::Fixed {
                batch_size: size.unwrap_or(target.min(cap)),
                max_queue_delay: delay.unwrap_or(Duration::ZERO),
            },
        };
        (batching, cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(number: usize) -> Option<NonZeroUsize> {
        NonZeroUsize::new(number)
    }

    #[test]
    fn a_place_that_says_whether_batches_are_shared_hides_size_and_delay_behind_it() {
        let behind = ModelSettings {
            batch_size: count(8),
            max_queue_delay: Some(Duration::from_millis(1)),
            max_batch_size: count(32),
            ..ModelSettings::default()
        };
        let with = |sharing| ModelSettings { sharing, ..ModelSettings::default() };
        let batching = |settings: ModelSettings| {
            let config = settings.or(behind.clone()).complete();
            (config.batching, config.max_batch_size.get())
        };
        let together = with(Some(Sharing::Together));
        assert_eq!(batching(together), (BatchingConfig::Adaptive, 32));
        let alone = with(Some(Sharing::Alone("why")));
        assert_eq!(batching(alone), (BatchingConfig::OneByOne { reason: "why" }, 32));
        assert!(matches!(batching(with(None)), (BatchingConfig::Fixed { .. }, 32)));
    }

    #[test]
    fn a_size_that_is_written_before_it_holds_over_running_alone() {
        let before = ModelSettings { batch_size: count(4), ..ModelSettings::default() };
        let alone =
            ModelSettings { sharing: Some(Sharing::Alone("why")), ..ModelSettings::default() };
        let fixed = BatchingConfig::Fixed {
            batch_size: count(4).unwrap(),
            max_queue_delay: Duration::ZERO,
        };
        assert_eq!(before.or(alone).complete().batching, fixed);
    }
}
