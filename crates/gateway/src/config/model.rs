//! How each model is batched and split: `[defaults]` for all of them, `[models.NAME]` for one.
//!
//! A flag or a variable beats both, for every model: whoever starts with `BATCH_SIZE=16` means it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_batcher::BatchPolicy;
use tidegate_configuration::{Count, Section};
use tidegate_control::{BatchingConfig, ComputeThreads, ModelConfig, Target};
use tidegate_inference::{Label, ModelName, Version};

use super::value::{Share, Span, Written};

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
    slo: Option<Duration>,
    request_timeout: Option<Duration>,
    max_execution_time: Option<Duration>,
    instances: Option<NonZeroUsize>,
    intra_op_threads: Option<NonZeroUsize>,
}

impl Models {
    /// The server's own request timeout bounds what a model may say.
    pub fn read(root: &Section<'_>, longest: Duration) -> Self {
        let section = root.section("defaults");
        let overrides = Partial::read(&section.only_overrides());
        let for_all = Partial::read(&section);
        let defaults = for_all.clone().complete(&section, longest);
        section.unknown_keys();
        // What is set for every model over the file beats what the file says of one.
        let sections = root.section("models").special_case_of("defaults").named_sections();
        let named = sections.into_iter().map(|(Written(name), section)| {
            let own = Partial::read(&section);
            let said = overrides.clone().or(own).or(for_all.clone());
            let config = said.complete(&section, longest);
            section.unknown_keys();
            (name, config)
        });
        Self { defaults, named: named.collect() }
    }
}

impl Partial {
    fn read(section: &Section<'_>) -> Self {
        let count = |key| section.value(key).map(|Count(count)| count);
        let span = |key| section.value(key).map(|Span(span)| span);
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
            slo: span("slo"),
            request_timeout: span("request_timeout"),
            max_execution_time: span("max_execution_time"),
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
            slo: self.slo.or(other.slo),
            request_timeout: self.request_timeout.or(other.request_timeout),
            max_execution_time: self.max_execution_time.or(other.max_execution_time),
            instances: self.instances.or(other.instances),
            intra_op_threads: self.intra_op_threads.or(other.intra_op_threads),
        }
    }

    /// Fills the gaps and checks what belongs together.
    fn complete(self, section: &Section<'_>, longest: Duration) -> ModelConfig {
        let usual = ModelConfig::default();
        let threads = ComputeThreads::or_of_this_machine(self.instances, self.intra_op_threads);
        let (batching, max_batch_size) = self.batching(&usual);
        let config = ModelConfig {
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
        };
        check_batching(&config, section);
        check_times(&config, section, longest);
        check_weights(&config, section);
        config
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
        let batching = match (self.batch_size, self.max_queue_delay) {
            (None, None) => BatchingConfig::Adaptive,
            (size, delay) => BatchingConfig::Fixed {
                batch_size: size.unwrap_or(target.min(cap)),
                max_queue_delay: delay.unwrap_or(Duration::ZERO),
            },
        };
        (batching, cap)
    }
}

fn check_batching(config: &ModelConfig, section: &Section<'_>) {
    let BatchingConfig::Fixed { batch_size, max_queue_delay } = config.batching else { return };
    let cap = config.max_batch_size;
    if batch_size > cap {
        let message = format!("expected at most max_batch_size ({cap}), got {batch_size}");
        section.mistake("batch_size", message);
    }
    if max_queue_delay > BatchPolicy::LONGEST_DELAY {
        section.mistake("max_queue_delay", "expected at most an hour");
    }
}

/// A soft bound above the hard one, or a model's above the server's, would never be met.
fn check_times(config: &ModelConfig, section: &Section<'_>, longest: Duration) {
    let timeout = config.request_timeout.unwrap_or(longest);
    if timeout > longest {
        let message =
            format!("expected at most limits.request_timeout ({longest:?}), got {timeout:?}");
        section.mistake("request_timeout", message);
    }
    if let Some(slo) = config.slo.filter(|slo| *slo > timeout) {
        section
            .mistake("slo", format!("expected at most request_timeout ({timeout:?}), got {slo:?}"));
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
