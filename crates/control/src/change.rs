//! Changes that operators make: weights and labels.
//!
//! One at a time, each in four steps: hold it against the current state, write it to disk, publish it,
//! answer. A change that was answered is on disk, and the next request is routed by it.

use std::collections::BTreeMap;

use thiserror::Error;
use tidegate_inference::{Label, Version};
use tracing::{error, info};

use crate::model_set::Model;
use crate::traffic::Traffic;
use crate::weights::{Weights, WeightsRequest, listed};
use crate::{ControlPlane, IfMatch, ModelView, StateError};

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
        if !condition.allows(&old.etag) {
            return Err(ChangeError::Stale(Box::new(old)));
        }
        let new = decide(&self.models().models[name])?;

        let mut set = store.models().get(name).cloned().unwrap_or_default();
        match &new {
            NewTraffic::Labels(labels) => set.labels = Some(labels.clone()),
            NewTraffic::Weights(weights) => set.weights = Some(weights.clone()),
        }
        store.save(&old.name, set).inspect_err(|error| error!(model = %old.name, by, %error))?;
        let view = self.put_in_force(&old, new);
        log(&old, &view, by);
        Ok(view)
    }

    fn put_in_force(&self, old: &ModelView, new: NewTraffic) -> ModelView {
        let mut models = self.models();
        let traffic: &mut Traffic =
            &mut models.models.get_mut(&old.name).expect("models are never removed").traffic;
        match new {
            NewTraffic::Labels(labels) => traffic.labels = labels,
            NewTraffic::Weights(weights) => traffic.weights = Some(weights),
        }
        self.publish(&mut models);
        models.view(old.name.as_str()).expect("models are never removed")
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::{Opened, Site, label, version};

    fn set(opened: &Opened, body: &str) -> Result<ModelView, ChangeError> {
        set_if(opened, body, &IfMatch::Any)
    }

    fn set_if(opened: &Opened, body: &str, at: &IfMatch) -> Result<ModelView, ChangeError> {
        let request = WeightsRequest::from_json(body.as_bytes()).unwrap();
        opened.plane.set_weights("digits", &request, at, "a test")
    }

    #[test]
    fn weights_replace_each_other_and_survive_reopening() {
        let mut site = Site::new(&["digits/1", "digits/2", "digits/3"]);
        site.config.defaults.weights = [("3".parse().unwrap(), 1)].into();
        let opened = site.loaded();
        set(&opened, r#"{"weights": {"1": 5, "3": 5}}"#).unwrap();
        let view = set(&opened, r#"{"weights": {"1": 90, "2": 10}}"#).unwrap();
        assert_eq!(opened.effective("digits"), [(1, 90), (2, 10)]);
        let tag = view.etag;
        drop(opened);

        let opened = site.loaded();
        assert_eq!(opened.effective("digits"), [(1, 90), (2, 10)]);
        assert_eq!(opened.plane.view("digits").unwrap().etag, tag);
    }

    #[test]
    fn a_change_is_on_disk_when_it_is_answered() {
        let site = Site::new(&["digits/1", "digits/2"]);
        let opened = site.loaded();
        set(&opened, r#"{"weights": {"1": 7}}"#).unwrap();
        let text = fs::read(&site.config.state_file).unwrap();
        let on_disk = crate::state_document::read(&text).unwrap();
        assert_eq!(on_disk["digits"].weights.as_ref().unwrap().of(version(1)), 7);
    }

    #[test]
    fn of_two_operators_who_read_the_same_state_one_is_told() {
        let site = Site::new(&["digits/1", "digits/2"]);
        let opened = site.loaded();
        let read = IfMatch::OneOf(vec![opened.plane.view("digits").unwrap().etag]);
        let bodies = [r#"{"weights": {"1": 1}}"#, r#"{"weights": {"2": 1}}"#];
        let outcomes = std::thread::scope(|scope| {
            bodies
                .map(|body| scope.spawn(|| set_if(&opened, body, &read)))
                .map(|operator| operator.join().unwrap())
        });
        let won = outcomes.iter().position(Result::is_ok).unwrap();
        let Err(ChangeError::Stale(current)) = &outcomes[1 - won] else {
            panic!("both changes were taken: {outcomes:?}")
        };
        assert_eq!(current.etag, outcomes[won].as_ref().unwrap().etag);
        assert_eq!(opened.effective("digits"), [(won as u64 + 1, 1)]);
    }

    #[test]
    fn a_change_that_cannot_be_saved_is_not_made() {
        let site = Site::new(&["digits/1", "digits/2"]);
        let opened = site.loaded();
        let before = opened.plane.view("digits").unwrap().etag;
        fs::create_dir(crate::durable_file::beside(&site.config.state_file, ".tmp")).unwrap();
        let error = set(&opened, r#"{"weights": {"1": 7}}"#).unwrap_err();
        assert!(error.to_string().starts_with("nothing was changed: state file"), "{error}");
        assert_eq!(opened.effective("digits"), [(2, 1)]);
        assert_eq!(opened.plane.view("digits").unwrap().etag, before);
    }

    #[test]
    fn a_moved_label_takes_no_traffic_with_it() {
        let mut site = Site::new(&["digits/1", "digits/2"]);
        site.config.defaults.labels = [(label("blue"), version(1))].into();
        let opened = site.loaded();
        set(&opened, r#"{"weights": {"blue": 1}}"#).unwrap();
        let move_to = |number| {
            let any = IfMatch::Any;
            opened.plane.set_label("digits", label("blue"), version(number), &any, "a test")
        };
        move_to(2).unwrap();
        assert_eq!(opened.effective("digits"), [(1, 1)]);
        assert!(matches!(move_to(3), Err(ChangeError::Invalid(_))));
        drop(opened);
        let view = site.loaded().plane.view("digits").unwrap();
        assert_eq!(view.entry.labels[&label("blue")], version(2));
    }

    #[test]
    fn a_removed_label_stays_removed_though_configured() {
        let mut site = Site::new(&["digits/1"]);
        site.config.defaults.labels = [(label("blue"), version(1))].into();
        let opened = site.loaded();
        opened.plane.remove_label("digits", "blue", &IfMatch::Any, "a test").unwrap();
        let again = opened.plane.remove_label("digits", "blue", &IfMatch::Any, "a test");
        assert!(matches!(again, Err(ChangeError::NotFound(_))));
        drop(opened);
        assert!(site.loaded().plane.view("digits").unwrap().entry.labels.is_empty());
    }

    #[test]
    fn state_of_versions_that_are_gone_is_kept_and_takes_no_traffic() {
        let site = Site::new(&["digits/1", "digits/2"]);
        let opened = site.loaded();
        set(&opened, r#"{"weights": {"1": 1, "2": 3}}"#).unwrap();
        drop(opened);
        fs::remove_dir_all(site.config.repository.join("digits/2")).unwrap();
        assert_eq!(site.loaded().effective("digits"), [(1, 1)]);
        site.write("digits/2/model.onnx", "a model");
        assert_eq!(site.loaded().effective("digits"), [(1, 1), (2, 3)]);
    }
}
