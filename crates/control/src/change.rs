//! Changes that operators make: weights and labels. And those of a reload, which brings its labels along.
//!
//! One at a time, each in four steps: hold it against the current state, write it to disk, publish it,
//! answer. A change that was answered is on disk, and the next request is routed by it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;
use tidegate_inference::{Label, ModelName, Version};
use tracing::{error, info};

use crate::model_set::Model;
use crate::traffic::Traffic;
use crate::weights::{Weights, WeightsRequest, listed};
use crate::{ControlPlane, IfMatch, ModelView, StateError};

#[cfg(test)]
mod tests;

#[derive(Debug, Error)]
pub enum ChangeError {
    /// The model or the label does not exist.
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Invalid(String),
    /// Somebody else's change came first; nothing was changed.
    #[error(
        "model '{}' was changed since it was read: If-Match does not name its current tag {}",
        .0.name, .0.etag
    )]
    Stale(Box<ModelView>),
    /// Operators have no say in it.
    #[error(
        "labels and weights of model '{model}' come from the file {}: change them there",
        file.display()
    )]
    Declared { model: ModelName, file: PathBuf },
    #[error("nothing was changed: {0}")]
    NotSaved(#[from] StateError),
}

enum NewTraffic {
    Labels(BTreeMap<Label, Version>),
    Weights(Weights),
}

impl ControlPlane {
    /// Replaces all weights of a model; versions that are not named get nothing. `by` is who asked,
    /// for the log. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// See [`ChangeError`]. After an error the old weights hold.
    pub fn set_weights(
        &self,
        model: &str,
        request: &WeightsRequest,
        condition: &IfMatch,
        by: &str,
    ) -> Result<ModelView, ChangeError> {
        self.change(model, condition, by, |model| {
            let weights = request.resolve(&model.traffic.labels, &model.version_numbers());
            weights.map(NewTraffic::Weights).map_err(ChangeError::Invalid)
        })
    }

    /// Makes or moves a label. Weights stay with the versions they were given to.
    ///
    /// # Errors
    /// See [`ChangeError`]; a label points to a version that exists.
    pub fn set_label(
        &self,
        model: &str,
        label: Label,
        version: Version,
        condition: &IfMatch,
        by: &str,
    ) -> Result<ModelView, ChangeError> {
        self.change(model, condition, by, |model| {
            if !model.versions.contains_key(&version) {
                return Err(ChangeError::Invalid(format!(
                    "label '{label}': no version {version}, the versions are {}",
                    listed(model.versions.keys())
                )));
            }
            let mut labels = model.traffic.labels.clone();
            labels.insert(label, version);
            Ok(NewTraffic::Labels(labels))
        })
    }

    /// # Errors
    /// See [`ChangeError`]; the label must exist.
    pub fn remove_label(
        &self,
        model: &str,
        label: &str,
        condition: &IfMatch,
        by: &str,
    ) -> Result<ModelView, ChangeError> {
        self.change(model, condition, by, |model| {
            let mut labels = model.traffic.labels.clone();
            if labels.remove(label).is_none() {
                return Err(ChangeError::NotFound(format!(
                    "no label '{label}', the labels are: {}",
                    listed(labels.keys())
                )));
            }
            Ok(NewTraffic::Labels(labels))
        })
    }

    fn change(
        &self,
        name: &str,
        condition: &IfMatch,
        by: &str,
        decide: impl FnOnce(&Model) -> Result<NewTraffic, ChangeError>,
    ) -> Result<ModelView, ChangeError> {
        // Held to the end: only its holder changes labels and weights, so what was read stays true.
        let mut store = self.store();
        let old = self.view(name).ok_or_else(|| self.no_such_model(name))?;
        if let Some(file) = &old.traffic_file {
            return Err(ChangeError::Declared { model: old.name, file: file.clone() });
        }
        if !condition.allows(&old.etag) {
            return Err(ChangeError::Stale(Box::new(old)));
        }
        let new = decide(&self.models().models[name])?;

        let mut set = store.models().get(name).cloned().unwrap_or_default();
        match &new {
            NewTraffic::Labels(labels) => set.labels = Some(labels.clone()),
            NewTraffic::Weights(weights) => set.weights = Some(weights.clone()),
        }
        store
            .save([(old.name.clone(), set)])
            .inspect_err(|error| error!(model = %old.name, by, %error))?;
        let view = self.put_in_force(&old, new);
        log(&old, &view, by);
        Ok(view)
    }

    /// Gives these models these labels and no others: all of it in one write, or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn replace_labels(
        &self,
        labels: Vec<(ModelName, BTreeMap<Label, Version>)>,
    ) -> Result<(), StateError> {
        let mut store = self.store();
        let mut changed = labels;
        changed.retain(|(name, labels)| {
            self.view(name.as_str()).is_some_and(|view| view.entry.labels != *labels)
        });
        if changed.is_empty() {
            return Ok(());
        }
        let sets = changed.iter().map(|(name, labels)| {
            let mut set = store.models().get(name).cloned().unwrap_or_default();
            set.labels = Some(labels.clone());
            (name.clone(), set)
        });
        let sets: Vec<_> = sets.collect();
        store.save(sets)?;
        let mut models = self.models();
        for (name, labels) in changed {
            let shown = labels.iter().map(|(label, version)| format!("{label}={version}"));
            info!(model = %name, labels = listed(shown), "labels replaced");
            if let Some(model) = models.models.get_mut(&name) {
                model.traffic.labels = labels;
            }
        }
        self.publish(&mut models);
        Ok(())
    }

    fn put_in_force(&self, old: &ModelView, new: NewTraffic) -> ModelView {
        let mut models = self.models();
        let traffic: &mut Traffic = &mut models
            .models
            .get_mut(&old.name)
            .expect("a model goes under the store's lock")
            .traffic;
        match new {
            NewTraffic::Labels(labels) => traffic.labels = labels,
            NewTraffic::Weights(weights) => traffic.weights = Some(weights),
        }
        self.publish(&mut models);
        models.view(old.name.as_str()).expect("a model goes under the store's lock")
    }

    pub(crate) fn no_such_model(&self, name: &str) -> ChangeError {
        let shown: String = name.chars().take(64).collect();
        let known = listed(self.models().models.keys());
        ChangeError::NotFound(format!("no model '{shown}', the models are: {known}"))
    }
}

fn log(old: &ModelView, new: &ModelView, by: &str) {
    let shown = |view: &ModelView| {
        let labels = view.entry.labels.iter().map(|(label, version)| format!("{label}={version}"));
        let weights =
            view.entry.weights.iter().map(|(version, weight)| format!("{version}={weight}"));
        (listed(labels), listed(weights))
    };
    let ((old_labels, old_weights), (labels, weights)) = (shown(old), shown(new));
    info!(model = %new.name, by, old_weights, weights, old_labels, labels, "traffic changed");
}
