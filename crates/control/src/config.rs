//! What the control plane is told at start: where the models are, where admin-set state is kept, and
//! how each model is batched and split. The gateway reads files and flags and composes this; nothing
//! here parses a file.
//!
//! Labels and weights given here are initial values: what an operator sets through the admin API is
//! kept in the state file and wins.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tidegate_inference::{Error, Label, ModelName, Version};

#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// `<repository>/<model>/<version>/model.onnx`.
    pub repository: PathBuf,
    /// Where admin-set weights and labels are kept; its folder is made when missing.
    pub state_file: PathBuf,
    /// The model of `POST /predict`; when absent and there is one model, that one.
    pub default_model: Option<ModelName>,
    /// For models that `models` does not name.
    pub defaults: ModelConfig,
    pub models: BTreeMap<ModelName, ModelConfig>,
}

impl ControlConfig {
    pub fn model(&self, name: &ModelName) -> &ModelConfig {
        self.models.get(name).unwrap_or(&self.defaults)
    }
}

#[derive(Clone, Debug)]
pub struct ModelConfig {
    pub labels: BTreeMap<Label, Version>,
    /// Relative shares, 0 to 10000. Empty: the newest ready version gets everything.
    pub weights: BTreeMap<Target, u32>,
    /// The target: a batch of so many rows goes at once.
    pub batch_size: NonZeroUsize,
    /// The cap, in rows. With 1 no two requests share a run, and a request of several rows is
    /// split like any other request above its cap.
    pub max_batch_size: NonZeroUsize,
    /// How long the oldest request may wait for company.
    pub max_queue_delay: Duration,
    /// Requests that may wait for one version.
    pub max_queue_size: NonZeroUsize,
    /// Loaded copies of each version.
    pub instances: NonZeroUsize,
    pub intra_op_threads: NonZeroUsize,
}

impl Default for ModelConfig {
    fn default() -> Self {
        const fn count(number: usize) -> NonZeroUsize {
            NonZeroUsize::new(number).expect("the defaults below are not zero")
        }
        Self {
            labels: BTreeMap::new(),
            weights: BTreeMap::new(),
            batch_size: count(8),
            max_batch_size: count(64),
            max_queue_delay: Duration::ZERO,
            max_queue_size: count(1024),
            instances: count(2),
            intra_op_threads: count(1),
        }
    }
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
