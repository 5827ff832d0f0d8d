//! What the outside may know of the models: names, versions, states, contracts, labels, weights.
//! Control publishes a new catalog with every change; readers hold one snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{
    Error, ErrorKind, Label, ModelName, Result, Signature, Version, VersionDescription,
    VersionSelector,
};

#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The first load of every version has ended, well or badly, and something can be served.
    pub ready: bool,
    /// The model of `POST /predict`.
    pub default_model: Option<ModelName>,
    pub models: BTreeMap<ModelName, ModelEntry>,
}

#[derive(Clone, Debug, Default)]
pub struct ModelEntry {
    pub versions: BTreeMap<Version, VersionEntry>,
    pub labels: BTreeMap<Label, Version>,
    /// Configured relative shares; a version that is not named gets no weighted traffic.
    pub weights: BTreeMap<Version, u32>,
}

#[derive(Clone, Debug)]
pub struct VersionEntry {
    pub state: VersionState,
    /// Why it is in this state, when that is not plain: a load error, say.
    pub reason: Option<String>,
    /// The engine, in Triton's vocabulary: `onnxruntime_onnx`.
    pub platform: &'static str,
    /// Known once the version was loaded.
    pub signature: Option<Arc<Signature>>,
    pub batching: BatchingStatus,
    /// Known with the signature.
    pub description: Option<Arc<VersionDescription>>,
    /// What its configuration asks for and does not get, a sentence each.
    pub warnings: Arc<[String]>,
}

/// Whether a version's requests share batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchingStatus {
    /// Not loaded yet, so not known.
    Unknown,
    Batched {
        max_batch_size: usize,
    },
    /// One request at a time, and why.
    Unbatched {
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionState {
    Loading,
    Ready,
    Draining,
    Unloaded,
    /// It could not be loaded, or nothing runs on it any more. In the second case it may become ready again.
    Failed,
}

impl VersionState {
    pub const ALL: [Self; 5] =
        [Self::Loading, Self::Ready, Self::Draining, Self::Unloaded, Self::Failed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Unloaded => "unloaded",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Catalog {
    /// # Errors
    /// [`ErrorKind::UnknownModel`].
    pub fn model(&self, name: &str) -> Result<(&ModelName, &ModelEntry)> {
        self.models.get_key_value(name).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            Error::new(
                ErrorKind::UnknownModel,
                format!("Request for unknown model: '{shown}' is not found"),
            )
        })
    }
}

impl ModelEntry {
    /// The version that a question about the model as a whole is answered from: the asked one, or
    /// the ready version with the largest weight, the newest among equals.
    ///
    /// # Errors
    /// Unknown version or label; [`ErrorKind::Unavailable`] when no version is ready.
    pub fn select(
        &self,
        name: &ModelName,
        selector: &VersionSelector,
    ) -> Result<(Version, &VersionEntry)> {
        let version = match selector {
            VersionSelector::Version(version) => *version,
            VersionSelector::Label(label) => self.labelled(name, label)?,
            VersionSelector::Weighted => self
                .versions
                .iter()
                .filter(|(_, entry)| entry.state == VersionState::Ready)
                .map(|(version, _)| *version)
                .max_by_key(|version| (self.weights.get(version).copied(), *version))
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::Unavailable,
                        format!("model '{name}' is not at ready state: no version of it is ready"),
                    )
                })?,
        };
        let entry = self.versions.get(&version).ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownVersion,
                format!("Request for unknown model: '{name}' version {version} is not found"),
            )
        })?;
        Ok((version, entry))
    }

    /// # Errors
    /// [`ErrorKind::UnknownLabel`].
    pub fn labelled(&self, name: &ModelName, label: &Label) -> Result<Version> {
        self.labels.get(label).copied().ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownLabel,
                format!("Unrecognized servable version label: '{label}' of model '{name}'"),
            )
        })
    }
}
