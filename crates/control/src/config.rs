//! What the control plane is told at start: where the models are, where admin-set state is kept, and
//! what is said of how each model is batched and split. The gateway reads files and flags and composes this;
//! nothing here parses a file.
//!
//! Labels and weights given here are initial values: what an operator sets through the admin API is
//! kept in the state file and wins.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_batcher::BatchPolicy;
use tidegate_inference::{Error, Label, ModelName, Version};

use crate::cores::ComputeThreads;
use crate::{ModelSettings, TritonConfig};

#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// `<repository>/<model>/<version>/model.onnx`.
    pub repository: PathBuf,
    /// Start with a repository that holds no model, and with names of models that it does not hold: they come later.
    pub allow_empty: bool,
    /// Where admin-set weights and labels are kept; its folder is made when missing.
    pub state_file: PathBuf,
    /// A file that declares labels and weights; the gateway follows it and tells the control plane what it says.
    pub traffic_file: Option<PathBuf>,
    /// The model of `POST /predict`; when absent and there is one model, that one.
    pub default_model: Option<ModelName>,
    /// What holds for every model, whatever else is said of it.
    pub overrides: ModelSettings,
    /// What holds of a model where nothing else is said of it.
    pub defaults: ModelSettings,
    /// What is said of one model.
    pub models: BTreeMap<ModelName, ModelSettings>,
}

impl ControlConfig {
    /// A model's configuration, as far as it does not lie in the repository.
    pub fn model(&self, name: &ModelName) -> ModelConfig {
        self.model_with(name, None)
    }

    /// A model's configuration. What is said here of this very model, or of all, holds over what the model says of
    /// itself; that holds over the defaults.
    pub fn model_with(&self, name: &ModelName, triton: Option<Arc<TritonConfig>>) -> ModelConfig {
        let own = self.models.get(name).cloned().unwrap_or_default();
        let theirs = triton.as_ref().map(|triton| triton.settings.clone()).unwrap_or_default();
        let said = self.overrides.clone().or(own).or(theirs).or(self.defaults.clone());
        ModelConfig { triton, ..said.complete() }
    }

    /// That of a model of which nothing is said.
    pub fn unnamed(&self) -> ModelConfig {
        self.overrides.clone().or(self.defaults.clone()).complete()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    pub labels: BTreeMap<Label, Version>,
    /// Relative shares, 0 to 10000. Empty: the newest ready version gets everything.
    pub weights: BTreeMap<Target, u32>,
    pub batching: BatchingConfig,
    /// The cap, in rows. With 1 no two requests share a run, and a request of several rows is
    /// split like any other request above its cap.
    pub max_batch_size: NonZeroUsize,
    /// Requests that may wait for one version.
    pub max_queue_size: NonZeroUsize,
    /// How soon answers are wanted: order, batch size and admission look at it. An answer that
    /// comes later is still sent, as long as the deadline holds.
    pub slo: Option<Duration>,
    /// The longest deadline that a request of this model gets; the server's holds besides.
    pub request_timeout: Option<Duration>,
    /// A run that takes longer is ended and its instance is rebuilt.
    pub max_execution_time: Duration,
    /// Loaded copies of each version.
    pub instances: NonZeroUsize,
    /// Threads inside one run of one instance.
    pub intra_op_threads: NonZeroUsize,
    /// What the model says of itself besides: claims to hold against it, requests to warm it up with.
    pub triton: Option<Arc<TritonConfig>>,
}

/// Who decides with how many rows a batch goes, below `max_batch_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchingConfig {
    /// The gateway, by what it learns of the model.
    Adaptive,
    /// Whoever wrote these numbers.
    Fixed {
        /// The target: a batch of so many rows goes at once.
        batch_size: NonZeroUsize,
        /// How long the oldest request may wait for company.
        max_queue_delay: Duration,
    },
    /// Nobody: each request runs alone, and why.
    OneByOne { reason: &'static str },
}

impl BatchingConfig {
    /// The target of those who only write a delay.
    pub const USUAL_BATCH_SIZE: NonZeroUsize = count(8);

    /// Why no requests share a batch, when that was asked for.
    pub fn why_one_by_one(self) -> Option<&'static str> {
        match self {
            Self::OneByOne { reason } => Some(reason),
            Self::Adaptive | Self::Fixed { .. } => None,
        }
    }
}

impl ModelConfig {
    /// How large and how late a batch may become, if requests share batches at all.
    ///
    /// # Errors
    /// When the target is above the cap, or the delay is too long.
    pub fn policy(&self) -> Result<BatchPolicy, Error> {
        match self.batching {
            BatchingConfig::Adaptive | BatchingConfig::OneByOne { .. } => {
                Ok(BatchPolicy::adaptive(self.max_batch_size))
            }
            BatchingConfig::Fixed { batch_size, max_queue_delay } => {
                BatchPolicy::new(batch_size, self.max_batch_size, max_queue_delay)
            }
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        let ComputeThreads { instances, intra_op_threads } = ComputeThreads::of_this_machine();
        Self {
            labels: BTreeMap::new(),
            weights: BTreeMap::new(),
            batching: BatchingConfig::Adaptive,
            max_batch_size: count(64),
            max_queue_size: count(1024),
            slo: None,
            request_timeout: None,
            max_execution_time: Duration::from_secs(30),
            instances,
            intra_op_threads,
            triton: None,
        }
    }
}

const fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("the defaults above are not zero")
}

/// What a weight is given to. A label stands for the version it points to at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    Version(Version),
    Label(Label),
}

impl FromStr for Target {
    type Err = Error;

    /// Digits are a version, anything else a label.
    fn from_str(text: &str) -> Result<Self, Error> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().map(Self::Version)
        } else {
            Label::new(text).map(Self::Label)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Label(label) => label.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_version_and_all_else_a_label() {
        assert_eq!("2".parse(), Ok(Target::Version(Version::new(2).unwrap())));
        assert_eq!("v2".parse(), Ok(Target::Label(Label::new("v2").unwrap())));
        assert!("0".parse::<Target>().is_err());
        assert!("".parse::<Target>().is_err());
        assert!("a/b".parse::<Target>().is_err());
    }
}
