//! All models as the control plane knows them: the mutable truth behind a lock, from which each
//! published table and each admin answer is a copy. Decides nothing and does no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tidegate_backend::InstanceGroup;
use tidegate_batcher::Queue;
use tidegate_inference::{ModelEntry, ModelName, Version, VersionEntry, VersionPolicy};
use tidegate_router::{Lane, TrafficSplit, Weight};

use crate::Etag;
use crate::source::Source;
use crate::traffic::Traffic;
use crate::traffic_file::TrafficFile;
use crate::watch::Attempt;
use crate::weights::Weights;

pub struct ModelSet {
    pub default_model: Option<ModelName>,
    pub models: BTreeMap<ModelName, Model>,
    /// Where the gateway has one.
    pub traffic_file: Option<TrafficFile>,
    /// Models that come are left alone: what is to be served was listed.
    pub only_listed: bool,
    /// Every version was tried once.
    pub first_pass_ended: bool,
    /// Shutdown has begun: what is still loading is not published any more.
    pub stopping: bool,
    /// Out of the route table, with requests inside that may still enter. Shutdown does not wait for those.
    pub leaving: Vec<Arc<Queue>>,
}

pub struct Model {
    pub traffic: Traffic,
    /// What it is where neither an operator nor a file says otherwise.
    pub configured: Traffic,
    pub versions: BTreeMap<Version, ModelVersion>,
    pub split: CurrentSplit,
    pub wish: Wish,
}

/// What was last asked for of a model. The watch keeps to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Whatever its folder holds and its own configuration wants served.
    #[default]
    All,
    /// These, by a reload.
    Chosen(VersionPolicy),
    /// It was unloaded.
    Nothing,
}

pub struct ModelVersion {
    /// As it was when the version was loaded, or tried.
    pub source: Source,
    pub entry: VersionEntry,
    /// Its last load, when that failed.
    pub attempt: Option<Attempt>,
    /// There while it is ready, or would be if its runs did not fail.
    pub running: Option<Running>,
}

pub struct Running {
    /// Tells it from what ran before under the same number.
    pub edition: u64,
    pub lane: Arc<Lane>,
    pub instances: InstanceGroup,
}

/// The split in use and the weights it was made of.
#[derive(Default)]
pub struct CurrentSplit {
    pub weights: BTreeMap<Version, Weight>,
    pub split: Option<Arc<TrafficSplit>>,
}

impl ModelVersion {
    /// It could not be loaded from this.
    pub fn has_failed(&mut self, source: &Source) {
        let before = self.attempt.take().filter(|attempt| attempt.source == *source);
        let failures = before.map_or(0, |attempt| attempt.failures) + 1;
        self.attempt = Some(Attempt { source: source.clone(), failures, at: Instant::now() });
    }

    /// What it is from now on, or cannot be, comes of this.
    pub fn is_of(&mut self, source: Source) {
        self.entry.warnings = source.warnings();
        self.source = source;
    }
}

impl Model {
    pub fn version_numbers(&self) -> BTreeSet<Version> {
        self.versions.keys().copied().collect()
    }

    pub fn entry(&self) -> ModelEntry {
        let weights = self.traffic.weights.iter().flat_map(Weights::iter);
        ModelEntry {
            versions: self
                .versions
                .iter()
                .map(|(n, version)| (*n, version.entry.clone()))
                .collect(),
            labels: self.traffic.labels.clone(),
            weights: weights.map(|(version, weight)| (version, weight.get())).collect(),
        }
    }
}

/// One model at one moment, for whoever asks the control plane.
#[derive(Clone, Debug)]
pub struct ModelView {
    pub name: ModelName,
    pub is_default: bool,
    /// Names the labels and weights in `entry`.
    pub etag: Etag,
    pub entry: ModelEntry,
    /// What the weights come to among the versions that are ready now. Empty: requests that name
    /// no version are refused.
    pub effective: BTreeMap<Version, u32>,
    /// The file that its labels and weights come from, if they do.
    pub traffic_file: Option<PathBuf>,
    /// Why what the traffic file says now is not in force, whichever model it is about.
    pub traffic_problem: Option<String>,
}

impl ModelSet {
    pub fn view(&self, name: &str) -> Option<ModelView> {
        let (name, model) = self.models.get_key_value(name)?;
        Some(ModelView {
            name: name.clone(),
            is_default: self.default_model.as_ref() == Some(name),
            etag: model.traffic.etag(),
            entry: model.entry(),
            effective: model.split.weights.iter().map(|(v, weight)| (*v, weight.get())).collect(),
            traffic_file: self.traffic_file_of(name).map(Path::to_owned),
            traffic_problem: self
                .traffic_file
                .as_ref()
                .and_then(|file| file.problem().map(str::to_owned)),
        })
    }

    /// `None` once it was removed. Models and versions come and go in passes of loading only, so whoever
    /// holds `loading` may rely on what it has seen; and models go only under the store's lock.
    pub fn version_mut(
        &mut self,
        model: &ModelName,
        version: Version,
    ) -> Option<&mut ModelVersion> {
        self.models.get_mut(model)?.versions.get_mut(&version)
    }
}
