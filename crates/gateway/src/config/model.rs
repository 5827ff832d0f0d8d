//! How each model is batched and split: `[defaults]` for all of them, `[models.NAME]` for one.
//!
//! A flag or a variable beats both, for every model: whoever starts with `BATCH_SIZE=16` means it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_batcher::BatchPolicy;
use tidegate_configuration::{Count, Section};
use tidegate_control::{ModelConfig, Target};
use tidegate_inference::{Label, ModelName, Version};

use super::value::{Share, Written};

pub struct Models {
    pub defaults: ModelConfig,
    pub named: BTreeMap<ModelName, ModelConfig>,
}

/// What one place says; silence is `None`.
#[derive(Clone, Default)]
struct Partial {
    labels: Option<BTreeMap<Label, Version>>,
    weights: Option<BTreeMap<Target, u32>>,
    batch_size: Option<NonZeroUsize>,
    max_batch_size: Option<NonZeroUsize>,
    max_queue_delay: Option<Duration>,
    max_queue_size: Option<NonZeroUsize>,
    instances: Option<NonZeroUsize>,
    intra_op_threads: Option<NonZeroUsize>,
}

impl Models {
    pub fn read(root: &Section<'_>) -> Self {
        let section = root.section("defaults");
        let overrides = Partial::read(&section.only_overrides());
        let for_all = Partial::read(&section);
        let defaults = for_all.clone().complete(&section);
        section.unknown_keys();
        // What is set for every model over the file beats what the file says of one.
        let sections = root.section("models").special_case_of("defaults").named_sections();
        let named = sections.into_iter().map(|(Written(name), section)| {
            let own = Partial::read(&section);
            let config = overrides.clone().or(own).or(for_all.clone()).complete(&section);
            section.unknown_keys();
            (name, config)
        });
        Self { defaults, named: named.collect() }
    }
}

impl Partial {
    fn read(section: &Section<'_>) -> Self {
        let count = |key| section.value(key).map(|Count(count)| count);
        let labels: Option<Vec<(Written<Label>, Written<Version>)>> = section.pairs("labels");
        let weights: Option<Vec<(Written<Target>, Share)>> = section.pairs("weights");
        Self {
            labels: labels
                .map(|labels| labels.into_iter().map(|(label, to)| (label.0, to.0)).collect()),
            weights: weights.map(|weights| {
                weights.into_iter().map(|(Written(to), Share(weight))| (to, weight)).collect()
            }),
            batch_size: count("batch_size"),
            max_batch_size: count("max_batch_size"),
            max_queue_delay: section.value("max_queue_delay"),
            max_queue_size: count("max_queue_size"),
            instances: count("instances"),
            intra_op_threads: count("intra_op_threads"),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            labels: self.labels.or(other.labels),
            weights: self.weights.or(other.weights),
            batch_size: self.batch_size.or(other.batch_size),
            max_batch_size: self.max_batch_size.or(other.max_batch_size),
            max_queue_delay: self.max_queue_delay.or(other.max_queue_delay),
            max_queue_size: self.max_queue_size.or(other.max_queue_size),
            instances: self.instances.or(other.instances),
            intra_op_threads: self.intra_op_threads.or(other.intra_op_threads),
        }
    }

    /// Fills the gaps and checks what belongs together.
    fn complete(self, section: &Section<'_>) -> ModelConfig {
        let usual = ModelConfig::default();
        let (batch_size, max_batch_size) = self.batch_sizes(&usual);
        if batch_size > max_batch_size {
            let message =
                format!("expected at most max_batch_size ({max_batch_size}), got {batch_size}");
            section.mistake("batch_size", message);
        }
        let delay = self.max_queue_delay.unwrap_or(usual.max_queue_delay);
        if delay > BatchPolicy::LONGEST_DELAY {
            section.mistake("max_queue_delay", "expected at most an hour");
        }
        let config = ModelConfig {
            labels: self.labels.unwrap_or_default(),
            weights: self.weights.unwrap_or_default(),
            batch_size,
            max_batch_size,
            max_queue_delay: delay,
            max_queue_size: self.max_queue_size.unwrap_or(usual.max_queue_size),
            instances: self.instances.unwrap_or(usual.instances),
            intra_op_threads: self.intra_op_threads.unwrap_or(usual.intra_op_threads),
        };
        check_weights(&config, section);
        config
    }

    /// Who names only one of the two gets the other adapted, not an error about a default.
    fn batch_sizes(&self, usual: &ModelConfig) -> (NonZeroUsize, NonZeroUsize) {
        match (self.batch_size, self.max_batch_size) {
            (None, None) => (usual.batch_size, usual.max_batch_size),
            (Some(target), None) => (target, usual.max_batch_size.max(target)),
            (None, Some(cap)) => (usual.batch_size.min(cap), cap),
            (Some(target), Some(cap)) => (target, cap),
        }
    }
}

fn check_weights(config: &ModelConfig, section: &Section<'_>) {
    for target in config.weights.keys() {
        if let Target::Label(label) = target
            && !config.labels.contains_key(label)
        {
            section.mistake("weights", format!("expected one of the labels, got '{label}'"));
        }
    }
    if !config.weights.is_empty() && config.weights.values().all(|weight| *weight == 0) {
        section.mistake("weights", "expected at least one weight above 0");
    }
}
