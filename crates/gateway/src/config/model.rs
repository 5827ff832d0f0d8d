//! How each model is batched and split: `[defaults]` for all of them, `[models.NAME]` for one.
//!
//! A flag or a variable beats both, for every model: whoever starts with `BATCH_SIZE=16` means it. What a model's own
//! `config.pbtxt` says lies between the two, and is read where the models are.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_batcher::BatchPolicy;
use tidegate_configuration::{Count, Section};
use tidegate_control::{BatchingConfig, ModelConfig, ModelSettings, Target};
use tidegate_inference::{Label, ModelName, Version};

use super::value::{Share, Span, Written};

pub struct Models {
    pub overrides: ModelSettings,
    pub defaults: ModelSettings,
    pub named: BTreeMap<ModelName, ModelSettings>,
}

impl Models {
    /// The server's own request timeout bounds what a model may say.
    pub fn read(root: &Section<'_>, longest: Duration) -> Self {
        let section = root.section("defaults");
        let overrides = settings(&section.only_overrides());
        let defaults = settings(&section);
        check(&defaults, &section, longest);
        section.unknown_keys();
        let sections = root.section("models").special_case_of("defaults").named_sections();
        let named = sections.into_iter().map(|(Written(name), section)| {
            let own = settings(&section);
            // What is set for every model over the file beats what the file says of one.
            let said = overrides.clone().or(own.clone()).or(defaults.clone());
            check(&said, &section, longest);
            section.unknown_keys();
            (name, own)
        });
        let named = named.collect();
        Self { overrides, defaults, named }
    }
}

type Labels = BTreeMap<Label, Version>;
type Weights = BTreeMap<Target, u32>;

/// Labels and weights by model, where nothing else is said of a model: in the traffic file.
pub fn named_splits(models: &Section<'_>) -> Vec<(ModelName, Option<Labels>, Option<Weights>)> {
    let sections = models.named_sections().into_iter();
    sections
        .map(|(Written(name), section)| {
            let (labels, weights) = split(&section);
            check_weights(
                labels.as_ref().unwrap_or(&Labels::new()),
                weights.as_ref().unwrap_or(&Weights::new()),
                &section,
            );
            section.unknown_keys();
            (name, labels, weights)
        })
        .collect()
}

fn split(section: &Section<'_>) -> (Option<Labels>, Option<Weights>) {
    let labels: Option<Vec<(Written<Label>, Written<Version>)>> = section.pairs("labels");
    let weights: Option<Vec<(Written<Target>, Share)>> = section.pairs("weights");
    let labels = labels.map(|labels| labels.into_iter().map(|(label, to)| (label.0, to.0)));
    let weights =
        weights.map(|weights| weights.into_iter().map(|(to, Share(weight))| (to.0, weight)));
    (labels.map(Iterator::collect), weights.map(Iterator::collect))
}

fn settings(section: &Section<'_>) -> ModelSettings {
    let count = |key| section.value(key).map(|Count(count)| count);
    let span = |key| section.value(key).map(|Span(span)| span);
    let (labels, weights) = split(section);
    ModelSettings {
        labels,
        weights,
        sharing: None,
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

/// What belongs together must fit together, the defaults included.
fn check(said: &ModelSettings, section: &Section<'_>, longest: Duration) {
    let config = said.clone().complete();
    check_batching(&config, section);
    check_times(&config, section, longest);
    check_weights(&config.labels, &config.weights, section);
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

fn check_weights(labels: &Labels, weights: &Weights, section: &Section<'_>) {
    for target in weights.keys() {
        if let Target::Label(label) = target
            && !labels.contains_key(label)
        {
            section.mistake("weights", format!("expected one of the labels, got '{label}'"));
        }
    }
    if !weights.is_empty() && weights.values().all(|weight| *weight == 0) {
        section.mistake("weights", "expected at least one weight above 0");
    }
}
