//! Triton's model configuration, `<repository>/<model>/config.pbtxt`, in our words.
//!
//! What we have too becomes settings like those of any other place; what the file claims of the model is held against
//! it when it is loaded; what we do not have is a warning with path and line, and where the answers would be
//! wrong without it, a refusal. Nothing is ignored in silence.

mod batching;
mod claims;
mod instances;
mod section;
#[cfg(test)]
mod tests;
mod warm_up;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_backend::LoadError;
use tidegate_inference::{Error, ModelName, Result, Signature, Version, VersionPolicy};
use tidegate_proto::tree::{self, Message, TreeError};

use crate::ModelSettings;
use crate::weights::listed;
use claims::{Claims, Rows};
use section::{Findings, Form, Section};
use warm_up::WarmUpSample;
pub use warm_up::{WarmUpRequest, run as run_warm_up};

pub const CONFIG_FILE: &str = "config.pbtxt";
const MODEL_FILE: &str = "model.onnx";

/// One model's, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct TritonConfig {
    pub settings: ModelSettings,
    pub version_policy: VersionPolicy,
    /// What was asked for and is not done, a sentence each.
    pub warnings: Arc<[String]>,
    rows: Rows,
    claims: Claims,
    warm_up: Vec<WarmUpSample>,
    /// Of the model.
    folder: PathBuf,
}

impl TritonConfig {
    /// Reads the file in a model's folder, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read, is no configuration, or asks for what would make answers wrong.
    pub fn read(model: &ModelName, folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(CONFIG_FILE);
        let unreadable =
            |error| Error::invalid(format!("{} cannot be read: {error}", path.display()));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mut text = Vec::new();
        // One byte more than is allowed is enough to see that there is more.
        let most = tree::Limits::BYTES as u64 + 1;
        file.take(most).read_to_end(&mut text).map_err(unreadable)?;
        Self::from_text(model, folder, &text).map(Some)
    }

    /// Reads the text of a `config.pbtxt`.
    ///
    /// # Errors
    /// When it is no configuration, or asks for what would make answers wrong.
    pub fn from_text(model: &ModelName, folder: &Path, text: &[u8]) -> Result<Self> {
        let message = tree::read_text(text).map_err(|error| {
            let TreeError { place, message } = error;
            let place = place.map(|place| format!(" {place}")).unwrap_or_default();
            Error::invalid(format!("{CONFIG_FILE}{place}: {message}"))
        })?;
        Self::of(model, folder, &message, Form::Text)
    }

    /// Reads the JSON form, as Triton's load call sends it.
    ///
    /// # Errors
    /// As [`TritonConfig::from_text`].
    pub fn from_json(model: &ModelName, folder: &Path, json: &str) -> Result<Self> {
        let message = tree::read_json(json.as_bytes())
            .map_err(|error| Error::invalid(format!("model configuration: {error}")))?;
        Self::of(model, folder, &message, Form::Json)
    }

    fn of(model: &ModelName, folder: &Path, message: &Message, form: Form) -> Result<Self> {
        let findings = Findings::new(form);
        let root = Section::root(message, &findings);
        check_identity(model, &root);
        refuse(&root);
        let mut settings = ModelSettings::default();
        let rows = batching::read(&root, &mut settings);
        instances::read(&root, &mut settings);
        let config = Self {
            settings,
            version_policy: version_policy(&root),
            warnings: [].into(),
            rows,
            claims: Claims::read(&root),
            warm_up: warm_up::read(&root),
            folder: folder.to_owned(),
        };
        root.not_honoured(&[
            "runtime",
            "optimization",
            "cc_model_filenames",
            "metric_tags",
            "model_operations",
            "model_repository_agents",
            "response_cache",
            "model_metrics",
        ]);
        root.end();
        let faults = findings.faults.into_inner();
        if faults.is_empty() {
            Ok(Self { warnings: findings.warnings.into_inner().into(), ..config })
        } else {
            Err(Error::invalid(faults.join("; ")))
        }
    }

    /// The versions that are served of those that are there.
    ///
    /// # Errors
    /// When none is left.
    pub fn served(&self, versions: &BTreeSet<Version>) -> Result<BTreeSet<Version>> {
        let served = self.version_policy.select(versions);
        if served.is_empty() && !versions.is_empty() {
            let there = listed(versions);
            let message =
                format!("its version_policy selects none of its versions, which are {there}");
            return Err(Error::invalid(message));
        }
        Ok(served)
    }

    /// Whether the configuration says that tensors have a batch dimension before the dimensions it shows.
    pub fn has_batch_dimension(&self) -> bool {
        self.rows == Rows::First
    }

    /// Holds what the configuration claims against what the model has.
    ///
    /// # Errors
    /// Every mismatch, with the tensor, the claim and the truth.
    pub fn check(&self, signature: &Signature) -> Result<(), LoadError> {
        self.claims.check(self.rows, signature)
    }

    /// The requests of `model_warmup`, for a model that has passed [`TritonConfig::check`].
    ///
    /// # Errors
    /// When one cannot be made: its file is missing, or does not fit the model.
    pub fn warm_up_requests(&self, signature: &Signature) -> Result<Vec<WarmUpRequest>, LoadError> {
        let make = |sample: &WarmUpSample| sample.request(self.rows, &self.folder, signature);
        self.warm_up.iter().map(make).collect()
    }
}

fn check_identity(model: &ModelName, root: &Section<'_>) {
    if let Some(name) = root.text("name").filter(|name| !name.is_empty() && name != model.as_str())
    {
        root.fault("name", &format!("expected the folder's name, '{model}', got '{name}'"));
    }
    for (field, accepted) in [("platform", "onnxruntime_onnx"), ("backend", "onnxruntime")] {
        if let Some(other) = root.text(field).filter(|text| !text.is_empty() && text != accepted) {
            root.fault(field, &format!("expected '{accepted}', the only one here, got '{other}'"));
        }
    }
    let file = root.text("default_model_filename");
    if let Some(other) = file.filter(|file| !file.is_empty() && file != MODEL_FILE) {
        let message = format!("expected '{MODEL_FILE}', the only name here, got '{other}'");
        root.fault("default_model_filename", &message);
    }
}

/// What would make answers other than they are under Triton.
fn refuse(root: &Section<'_>) {
    for (field, why) in [
        (
            "sequence_batching",
            "sequences are not offered: requests of one would not reach the same state",
        ),
        ("ensemble_scheduling", "ensembles are not offered"),
        ("batch_input", "inputs made of the batch are not offered"),
        ("batch_output", "outputs scattered by an input's shape are not offered"),
    ] {
        if root.has(field) {
            root.fault(field, why);
        }
    }
    if let Some(policy) = root.section("model_transaction_policy") {
        if policy.boolean("decoupled") == Some(true) {
            policy.fault("decoupled", "a request gets exactly one answer here");
        }
        policy.end();
    }
}

fn version_policy(root: &Section<'_>) -> VersionPolicy {
    let Some(policy) = root.section("version_policy") else { return VersionPolicy::All };
    let mut chosen = VersionPolicy::All;
    if let Some(latest) = policy.section("latest") {
        let count: Option<u32> = latest.integer("num_versions", 0..=i128::from(u32::MAX));
        // 0 is protobuf's silence; the newest is Triton's default.
        let count = count.and_then(|count| NonZeroUsize::new(count as usize));
        chosen = VersionPolicy::Latest(count.unwrap_or(NonZeroUsize::MIN));
        latest.end();
    }
    if let Some(specific) = policy.section("specific") {
        let versions: Vec<u64> = specific.integers("versions", 1..=i128::from(i64::MAX));
        chosen = VersionPolicy::Specific(versions.into_iter().filter_map(Version::new).collect());
        specific.end();
    }
    if let Some(all) = policy.section("all") {
        chosen = VersionPolicy::All;
        all.end();
    }
    policy.end();
    chosen
}
