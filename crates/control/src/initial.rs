//! The state before anything is loaded: what the repository holds, what the configuration says of it,
//! and over that what operators have set. For all models at start, and for one that is found later.
//!
//! A configuration that names what is not there is a mistake, and all of them are reported together. One that comes
//! with a model, its `config.pbtxt`, is that model's affair: a mistake in it fails the model's versions and no others.
//! Admin-set state that names a version which has gone is not: versions are pruned by others, and the
//! gateway must start again; it is kept, and takes no traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_inference::{BatchingStatus, ModelName, Version, VersionEntry, VersionState};
use tracing::warn;

use crate::model_set::{CurrentSplit, Model, ModelSet, ModelVersion, Wish};
use crate::source::{Folders, Source, own_config, retain_served};
use crate::state_document::AdminSet;
use crate::traffic::Traffic;
use crate::traffic_file::TrafficFile;
use crate::weights::{Weights, WeightsRequest, listed};
use crate::{ControlConfig, ModelConfig, Repository, TritonConfig, VersionFolder};

/// # Errors
/// Every mistake in the configuration.
pub fn model_set(
    config: &ControlConfig,
    repository: &Repository,
    platform: &'static str,
) -> Result<ModelSet, Vec<String>> {
    let mut faults = Vec::new();
    let missing = |name: &&ModelName| !repository.models.contains_key(name.as_str());
    // Into a repository that may be empty, models come later.
    for name in config.models.keys().filter(missing).filter(|_| !config.allow_empty) {
        faults.push(format!("models.{name}: {}", no_such_model(repository)));
    }
    let models = repository
        .models
        .iter()
        .map(|(name, folders)| {
            let mut folders = folders.clone();
            let triton = triton_config(name, repository, &mut folders);
            let model = model(
                name,
                &config.model_with(name, triton).into(),
                &folders,
                platform,
                &mut faults,
            );
            (name.clone(), model)
        })
        .collect();
    let default_model = default_model(config, repository, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(ModelSet {
        default_model,
        models,
        traffic_file: config.traffic_file.clone().map(TrafficFile::unread),
        only_listed: false,
        first_pass_ended: false,
        stopping: false,
        leaving: Vec::new(),
    })
}

fn default_model(
    config: &ControlConfig,
    repository: &Repository,
    faults: &mut Vec<String>,
) -> Option<ModelName> {
    match &config.default_model {
        Some(name) if !config.allow_empty && !repository.models.contains_key(name.as_str()) => {
            faults.push(format!("default model '{name}': {}", no_such_model(repository)));
            None
        }
        Some(name) => Some(name.clone()),
        None if repository.models.len() == 1 => repository.models.keys().next().cloned(),
        None => None,
    }
}

/// What lies in the model's own folder. Versions that it does not want served are left out, and if it is faulty, none
/// can be.
fn triton_config(
    name: &ModelName,
    repository: &Repository,
    folders: &mut Folders,
) -> Option<Arc<TritonConfig>> {
    let read = own_config(name, &repository.path.join(name.as_str()), None);
    let taken_in = read.and_then(|triton| {
        retain_served(triton.as_deref(), folders)?;
        Ok(triton)
    });
    taken_in.unwrap_or_else(|error| {
        for folder in folders.values_mut() {
            folder.files = Err(error.message().to_owned());
        }
        None
    })
}

fn no_such_model(repository: &Repository) -> String {
    format!(
        "no such model in the repository {}, which has: {}",
        repository.path.display(),
        repository.names()
    )
}

pub fn model(
    name: &ModelName,
    config: &Arc<ModelConfig>,
    folders: &Folders,
    platform: &'static str,
    faults: &mut Vec<String>,
) -> Model {
    let versions: BTreeSet<Version> = folders.keys().copied().collect();
    let mut fault = |what: &str| faults.push(format!("models.{name}: {what}"));
    // Where the model's own configuration has a part in it, the model fails and the others are served.
    if let (Err(error), None) = (config.policy(), &config.triton) {
        fault(error.message());
    }
    for (label, version) in config.labels.iter().filter(|(_, v)| !versions.contains(v)) {
        let known = listed(&versions);
        fault(&format!("label '{label}' names version {version}, the versions are {known}"));
    }
    let weights = configured_weights(config, &versions).unwrap_or_else(|what| {
        fault(&format!("weights: {what}"));
        None
    });
    let waiting = |folder: &VersionFolder| {
        let source = Source { folder: folder.clone(), config: Arc::clone(config) };
        waiting(source, platform)
    };
    let configured = Traffic { labels: config.labels.clone(), weights };
    Model {
        traffic: configured.clone(),
        configured,
        versions: folders.iter().map(|(n, folder)| (*n, waiting(folder))).collect(),
        split: CurrentSplit::default(),
        wish: Wish::All,
    }
}

/// Labels mean the configured ones here, even when operators have moved them since.
fn configured_weights(
    config: &ModelConfig,
    versions: &BTreeSet<Version>,
) -> Result<Option<Weights>, String> {
    if config.weights.is_empty() {
        return Ok(None);
    }
    WeightsRequest::from_config(&config.weights)?.resolve(&config.labels, versions).map(Some)
}

pub fn waiting(source: Source, platform: &'static str) -> ModelVersion {
    let entry = VersionEntry {
        state: VersionState::Loading,
        reason: Some("waits for its turn to be loaded".into()),
        platform,
        signature: None,
        batching: BatchingStatus::Unknown,
        description: None,
        warnings: source.warnings(),
    };
    ModelVersion { source, entry, attempt: None, running: None }
}

impl ModelSet {
    /// Puts what operators have set over the configured values.
    pub fn apply(&mut self, admin_set: &BTreeMap<ModelName, AdminSet>) {
        for (name, set) in admin_set {
            let Some(model) = self.models.get_mut(name) else {
                warn!(model = %name, "admin-set state of a model that is not in the repository");
                continue;
            };
            model.apply(name, set);
        }
    }
}

impl Model {
    pub fn apply(&mut self, name: &ModelName, set: &AdminSet) {
        if let Some(labels) = &set.labels {
            self.traffic.labels = labels.clone();
        }
        if let Some(weights) = &set.weights {
            self.traffic.weights = Some(weights.clone());
        }
        warn_of_missing_versions(name, self);
    }
}

fn warn_of_missing_versions(name: &ModelName, model: &Model) {
    let missing = |version: &Version| !model.versions.contains_key(version);
    for (label, version) in model.traffic.labels.iter().filter(|(_, version)| missing(version)) {
        warn!(model = %name, %label, version = version.get(), "label of a version that is not in the repository");
    }
    for (version, weight) in model.traffic.weights.iter().flat_map(Weights::iter) {
        if missing(&version) {
            let weight = weight.get();
            warn!(model = %name, version = version.get(), weight, "weight of a version that is not in the repository");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Site, label, model, version};
    use crate::{ControlError, ModelSettings};

    fn faults(site: &Site) -> Vec<String> {
        match site.open() {
            Err(ControlError::Config(faults)) => faults,
            Err(other) => panic!("{other}"),
            Ok(_) => Vec::new(),
        }
    }

    #[test]
    fn every_mistake_of_the_configuration_is_reported_at_once() {
        let mut site = Site::new(&["digits/1", "digits/2"]);
        site.config.default_model = Some(model("dogits"));
        let digits = ModelSettings {
            labels: Some([(label("blue"), version(1)), (label("green"), version(3))].into()),
            weights: Some([("blue".parse().unwrap(), 1), ("red".parse().unwrap(), 1)].into()),
            batch_size: Some(65.try_into().unwrap()),
            max_batch_size: Some(64.try_into().unwrap()),
            ..ModelSettings::default()
        };
        site.config.models =
            [(model("digits"), digits), (model("letters"), ModelSettings::default())].into();
        let repository = site.config.repository.display();
        let none = format!("no such model in the repository {repository}, which has: digits");
        assert_eq!(
            faults(&site),
            [
                format!("models.letters: {none}"),
                "models.digits: batch_size is 65, expected at most max_batch_size, which is 64"
                    .into(),
                "models.digits: label 'green' names version 3, the versions are 1, 2".into(),
                "models.digits: weights: unknown version or label 'red': the versions are 1, 2; \
                 the labels are blue, green"
                    .into(),
                format!("default model 'dogits': {none}"),
            ]
        );
    }

    #[test]
    fn configured_weights_may_name_labels() {
        let mut site = Site::new(&["digits/1", "digits/2", "digits/3"]);
        site.config.defaults.labels =
            Some([(label("blue"), version(1)), (label("green"), version(2))].into());
        site.config.defaults.weights =
            Some([("blue".parse().unwrap(), 90), ("green".parse().unwrap(), 10)].into());
        assert_eq!(site.loaded().effective("digits"), [(1, 90), (2, 10)]);
    }
}
