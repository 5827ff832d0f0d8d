//! What the manifest beside a model's versions says, as far as it concerns a gateway: whether the files of a version
//! are those that were pushed, which version was activated, which labels were given.
//!
//! Activations and labels are words of operators, spoken through a file instead of through the admin API. So each is
//! followed once, when it is seen for the first time, and becomes admin-set state; what operators set later holds over
//! it. Which ones were followed is saved with that state. A word about a version that cannot take traffic waits for it.
//! A traffic file holds over all of it: what is followed meanwhile is kept for when the file lets go of the model.

use std::collections::BTreeMap;
use std::path::Path;

use tidegate_backend::LoadError;
use tidegate_inference::{Label, ModelName, Version, VersionState};
use tidegate_repository::{Manifest, ManifestError};
use tidegate_router::Weight;
use tracing::{error, info, warn};

use crate::model_set::{Model, ModelVersion};
use crate::state_document::{AdminSet, Followed};
use crate::weights::Weights;
use crate::{ControlPlane, VersionFolder};

/// Holds the files of a version against the manifest. One that it does not list was put there by other means, and
/// nothing is known of it; the same is so when the manifest cannot be understood, because a damaged list must not take
/// good models out of service.
///
/// # Errors
/// What differs.
pub fn check_files(version: Version, folder: &VersionFolder) -> Result<(), LoadError> {
    let Some(model_folder) = folder.path.parent() else { return Ok(()) };
    let manifest = match Manifest::read(model_folder) {
        Ok(manifest) => manifest,
        Err(problem) => {
            warn!(%problem, "the version's files are not checked");
            return Ok(());
        }
    };
    let Some(entry) = manifest.as_ref().and_then(|manifest| manifest.entry(version)) else {
        return Ok(());
    };
    entry
        .verify(&folder.path)
        .map_err(|mismatch| LoadError::new(format!("it is not what was pushed: {mismatch}")))
}

/// What the manifest says and was not followed yet.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    active: Option<Version>,
    labels: BTreeMap<Label, Version>,
    /// Labels that the manifest no longer has.
    lost: Vec<Label>,
    followed: Followed,
}

impl ControlPlane {
    /// Follows what is new in a model's manifest, as far as it can be.
    pub(crate) fn follow_manifest(&self, name: &ModelName) {
        let manifest = match self.manifest(name) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return,
            Err(problem) => return error!(model = %name, %problem, "the manifest is not followed"),
        };
        // Held to the end: only its holder changes labels and weights.
        let mut store = self.store();
        let mut models = self.models();
        let owner = models.traffic_file_of(name).map(Path::to_owned);
        let Some(model) = models.models.get_mut(name) else { return };
        let before = store.models().get(name).cloned().unwrap_or_default();
        let Some(news) = News::of(&manifest, model, &before.followed) else { return };
        let own_labels = match &owner {
            Some(_) => before.labels.as_ref().unwrap_or(&model.configured.labels).clone(),
            None => model.traffic.labels.clone(),
        };
        let set = news.over(&model.versions, own_labels, before);
        if let Err(error) = store.save([(name.clone(), set.clone())]) {
            return error!(model = %name, %error, "the manifest is not followed");
        }
        if let Some(file) = owner {
            let file = file.display();
            info!(model = %name, %file, "what the manifest says is kept, and not in force: the traffic file holds over it");
            return;
        }
        model.apply(name, &set);
        let (labels, weights) = model.traffic.shown();
        info!(model = %name, labels, weights, "traffic as the manifest says");
        self.publish(&mut models);
    }

    /// That of every model.
    pub(crate) fn follow_manifests(&self) {
        let names: Vec<ModelName> = self.models().models.keys().cloned().collect();
        names.iter().for_each(|name| self.follow_manifest(name));
    }

    fn manifest(&self, name: &ModelName) -> Result<Option<Manifest>, ManifestError> {
        let folder: &Path = &self.config.repository.join(name.as_str());
        Manifest::read(folder)
    }
}

impl News {
    /// `None`: there is nothing new that could be followed now.
    fn of(manifest: &Manifest, model: &Model, followed: &Followed) -> Option<Self> {
        let mut news = Self { followed: followed.clone(), ..Self::default() };
        let active = manifest.active().filter(|active| followed.active != Some(active.since));
        if let Some(active) = active {
            let version = active.version;
            if is_ready(model, version) {
                news.active = Some(version);
                news.followed.active = Some(active.since);
            } else {
                let model = manifest.model();
                warn!(%model, version = version.get(), "activated, and not ready: traffic stays where it is until it is");
            }
        }
        for (label, given) in manifest.labels() {
            let is_new = followed.labels.get(label) != Some(&given.since);
            if is_new && model.versions.contains_key(&given.version) {
                news.labels.insert(label.clone(), given.version);
                news.followed.labels.insert(label.clone(), given.since);
            }
        }
        for label in followed.labels.keys().filter(|label| !manifest.labels().contains_key(*label))
        {
            news.followed.labels.remove(label);
            news.lost.push(label.clone());
        }
        (news.followed != *followed).then_some(news)
    }

    fn over(
        self,
        versions: &BTreeMap<Version, ModelVersion>,
        mut labels: BTreeMap<Label, Version>,
        mut set: AdminSet,
    ) -> AdminSet {
        if let Some(version) = self.active {
            let all = Weight::new(1).expect("1 is a weight");
            set.weights = Some(Weights::new([(version, all)]).expect("one is above zero"));
        }
        if !(self.labels.is_empty() && self.lost.is_empty()) {
            // Unless somebody has moved it to a version that there is.
            labels.retain(|label, version| {
                !self.lost.contains(label) || versions.contains_key(version)
            });
            labels.extend(self.labels);
            set.labels = Some(labels);
        }
        AdminSet { followed: self.followed, ..set }
    }
}

fn is_ready(model: &Model, version: Version) -> bool {
    model.versions.get(&version).is_some_and(|known| known.entry.state == VersionState::Ready)
}
