//! Labels and weights that a file declares: of the models that it names it is the only word. What operators set
//! through the admin API then has no say, and is refused; what they had set before holds again when the file no
//! longer names the model.
//!
//! A file holds whole or not at all: one that names a version or label that is not there changes nothing, and what it
//! said before goes on holding. Until a file could be put in force for the first time no weighted request is served:
//! the newest version might be the one that it was to keep out of traffic.
//!
//! Reading and following the file is the gateway's; here it is a value that may be declared again and again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tidegate_inference::{Label, ModelName, Version};
use tracing::{error, info};

use crate::model_set::{Model, ModelSet};
use crate::state_document::AdminSet;
use crate::traffic::Traffic;
use crate::weights::{WeightsRequest, listed};
use crate::{ControlPlane, Target};

/// What a traffic file says: by model, all of its labels and weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredTraffic(pub BTreeMap<ModelName, DeclaredSplit>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredSplit {
    pub labels: BTreeMap<Label, Version>,
    /// Empty: the newest ready version gets everything.
    pub weights: BTreeMap<Target, u32>,
}

/// The file as far as it was followed.
#[derive(Debug)]
pub struct TrafficFile {
    pub path: PathBuf,
    /// `None` until it could be put in force for the first time.
    in_force: Option<BTreeMap<ModelName, Traffic>>,
    /// Why what it says now is not in force.
    problem: Option<String>,
}

impl TrafficFile {
    pub fn unread(path: PathBuf) -> Self {
        Self { path, in_force: None, problem: None }
    }

    /// What it says of a model.
    pub fn of(&self, model: &ModelName) -> Option<&Traffic> {
        self.in_force.as_ref()?.get(model)
    }

    pub fn was_in_force(&self) -> bool {
        self.in_force.is_some()
    }

    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

impl ControlPlane {
    /// Puts in force what the traffic file says now; or keeps what it said, when that cannot be, or when `said` is
    /// the reason why it cannot be read. To be called again when either the file or the repository may have changed.
    /// Says whether it is in force.
    pub fn declare(&self, said: Result<&DeclaredTraffic, &str>) -> bool {
        // Held to the end: only its holder changes labels and weights.
        let store = self.store();
        let mut models = self.models();
        let resolved = said.map_err(str::to_owned).and_then(|said| models.resolved(said));
        let Some(file) = &mut models.traffic_file else { return false };
        match resolved {
            Ok(resolved) => {
                let is_new = file.in_force.as_ref() != Some(&resolved);
                let was_faulty = file.problem.take().is_some();
                if !(is_new || was_faulty) {
                    return true;
                }
                let before = file.in_force.replace(resolved).unwrap_or_default();
                models.follow_file(&before, store.models());
                self.telemetry.traffic_file_applied(SystemTime::now());
                self.publish(&mut models);
                true
            }
            Err(problem) => {
                if file.problem.as_ref() != Some(&problem) {
                    file.say(&problem);
                    file.problem = Some(problem);
                    self.telemetry.traffic_file_refused();
                    self.publish(&mut models);
                }
                false
            }
        }
    }
}

impl TrafficFile {
    fn say(&self, problem: &str) {
        let path = self.path.display();
        if self.was_in_force() {
            error!(file = %path, problem, "traffic file not applied: what it said before holds on");
        } else {
            error!(file = %path, problem, "traffic file not applied: not ready until it can be");
        }
    }
}

impl ModelSet {
    /// # Errors
    /// All that it names and that is not there.
    pub fn resolved(&self, said: &DeclaredTraffic) -> Result<BTreeMap<ModelName, Traffic>, String> {
        let mut faults = Vec::new();
        let mut resolved = BTreeMap::new();
        for (name, split) in &said.0 {
            match self.models.get(name) {
                None => {
                    let known = if self.models.is_empty() {
                        "there is none yet".to_owned()
                    } else {
                        format!("the models are: {}", listed(self.models.keys()))
                    };
                    faults.push(format!("models.{name}: no such model, {known}"));
                }
                Some(model) => match split.resolve(model) {
                    Ok(traffic) => drop(resolved.insert(name.clone(), traffic)),
                    Err(what) => faults.push(format!("models.{name}: {what}")),
                },
            }
        }
        if faults.is_empty() { Ok(resolved) } else { Err(faults.join("; ")) }
    }

    /// Gives the models the traffic that the file says, and those that it no longer names their own again.
    fn follow_file(
        &mut self,
        before: &BTreeMap<ModelName, Traffic>,
        admin_set: &BTreeMap<ModelName, AdminSet>,
    ) {
        let Some(file) = &self.traffic_file else { return };
        let path = file.path.display();
        for name in before.keys().filter(|name| file.of(name).is_none()) {
            let Some(model) = self.models.get_mut(name) else { continue };
            model.traffic = model.configured.clone();
            if let Some(set) = admin_set.get(name) {
                model.apply(name, set);
            }
            info!(model = %name, file = %path, "the traffic file no longer names it: what operators set holds");
        }
        for (name, traffic) in file.in_force.iter().flatten() {
            let Some(model) = self.models.get_mut(name) else { continue };
            if model.traffic != *traffic {
                model.traffic = traffic.clone();
                let (labels, weights) = model.traffic.shown();
                info!(model = %name, file = %path, labels, weights, "traffic as the file says");
            }
        }
    }

    /// Where a model's labels and weights come from, when operators have no say in them.
    pub fn traffic_file_of(&self, model: &ModelName) -> Option<&Path> {
        let file = self.traffic_file.as_ref()?;
        file.of(model).map(|_| &*file.path)
    }

    /// Nothing says yet how traffic is to be split, and something is going to.
    pub fn waits_for_traffic_file(&self) -> bool {
        self.traffic_file.as_ref().is_some_and(|file| !file.was_in_force())
    }
}

impl DeclaredSplit {
    fn resolve(&self, model: &Model) -> Result<Traffic, String> {
        let versions = model.version_numbers();
        let missing = self.labels.iter().filter(|(_, version)| !versions.contains(version));
        let missing: Vec<String> = missing
            .map(|(label, version)| {
                let known = listed(&versions);
                format!("label '{label}' names version {version}, the versions are {known}")
            })
            .collect();
        if !missing.is_empty() {
            return Err(missing.join("; "));
        }
        let weights = if self.weights.is_empty() {
            None
        } else {
            let request = WeightsRequest::from_config(&self.weights);
            let weights = request.and_then(|request| request.resolve(&self.labels, &versions));
            Some(weights.map_err(|what| format!("weights: {what}"))?)
        };
        Ok(Traffic { labels: self.labels.clone(), weights })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Opened, Site, label, model, version};
    use crate::{ChangeError, IfMatch, WeightsRequest};

    use super::*;

    fn site(versions: &[&str]) -> Site {
        let mut site = Site::new(versions);
        site.config.traffic_file = Some("/etc/traffic.toml".into());
        site
    }

    fn split(labels: &[(&str, u64)], weights: &[(&str, u32)]) -> DeclaredSplit {
        DeclaredSplit {
            labels: labels.iter().map(|(name, to)| (label(name), version(*to))).collect(),
            weights: weights.iter().map(|(to, share)| (to.parse().unwrap(), *share)).collect(),
        }
    }

    fn of_digits(split: DeclaredSplit) -> DeclaredTraffic {
        DeclaredTraffic([(model("digits"), split)].into())
    }

    fn set_weights(opened: &Opened, body: &str) -> Result<(), ChangeError> {
        let request = WeightsRequest::from_json(body.as_bytes()).unwrap();
        opened.plane.set_weights("digits", &request, &IfMatch::Any, "a test").map(drop)
    }

    fn problem(opened: &Opened) -> Option<String> {
        opened.plane.view("digits").unwrap().traffic_problem
    }

    #[test]
    fn until_the_file_can_be_put_in_force_nothing_is_ready_and_no_weighted_request_is_served() {
        let site = site(&["digits/1", "digits/2"]);
        let opened = site.loaded();
        assert!(!opened.catalog().ready);
        assert_eq!(opened.effective("digits"), []);
        let three = of_digits(split(&[], &[("3", 1)]));
        assert!(!opened.plane.declare(Ok(&three)));
        assert!(!opened.catalog().ready);
        assert_eq!(
            problem(&opened).unwrap(),
            "models.digits: weights: unknown version or label '3': the versions are 1, 2; there are no labels"
        );
        assert!(opened.plane.declare(Ok(&of_digits(split(&[], &[("1", 1)])))));
        assert!(opened.catalog().ready);
        assert_eq!((opened.effective("digits"), problem(&opened)), (vec![(1, 1)], None));
    }

    #[test]
    fn a_file_that_cannot_be_put_in_force_whole_changes_nothing() {
        let site = site(&["digits/1", "digits/2", "other/1", "other/2"]);
        let opened = site.loaded();
        let good = split(&[("blue", 1), ("green", 2)], &[("blue", 90), ("green", 10)]);
        assert!(opened.plane.declare(Ok(&of_digits(good))));
        let mut half = of_digits(split(&[], &[("2", 1)]));
        half.0.insert(model("other"), split(&[("green", 9)], &[("green", 1)]));
        half.0.insert(model("gone"), split(&[], &[]));
        assert!(!opened.plane.declare(Ok(&half)));
        assert_eq!(opened.effective("digits"), [(1, 90), (2, 10)]);
        assert_eq!(
            problem(&opened).unwrap(),
            "models.gone: no such model, the models are: digits, other; \
             models.other: label 'green' names version 9, the versions are 1, 2"
        );
        assert!(!opened.plane.declare(Err("not TOML")));
        assert_eq!(problem(&opened).unwrap(), "not TOML");
        assert!(opened.catalog().ready, "what held before holds on");
    }

    #[test]
    fn what_the_file_owns_no_operator_changes_and_the_rest_they_do() {
        let site = site(&["digits/1", "digits/2", "other/1", "other/2"]);
        let opened = site.loaded();
        assert!(opened.plane.declare(Ok(&of_digits(split(&[("blue", 1)], &[("blue", 1)])))));
        let refused = [
            set_weights(&opened, r#"{"weights": {"2": 1}}"#),
            opened
                .plane
                .set_label("digits", label("x"), version(1), &IfMatch::Any, "a test")
                .map(drop),
            opened.plane.remove_label("digits", "blue", &IfMatch::Any, "a test").map(drop),
        ];
        for refused in refused {
            let error = refused.unwrap_err();
            assert!(matches!(error, ChangeError::Declared { .. }), "{error}");
            assert_eq!(
                error.to_string(),
                "labels and weights of model 'digits' come from the file /etc/traffic.toml: change them there"
            );
        }
        assert_eq!(opened.effective("digits"), [(1, 1)]);
        let other = WeightsRequest::from_json(br#"{"weights": {"1": 1}}"#).unwrap();
        opened.plane.set_weights("other", &other, &IfMatch::Any, "a test").unwrap();
    }

    #[test]
    fn a_model_that_the_file_no_longer_names_has_again_what_operators_had_set() {
        let mut site = site(&["digits/1", "digits/2", "digits/3"]);
        site.config.defaults.labels = Some([(label("blue"), version(1))].into());
        let opened = site.loaded();
        opened.plane.declare(Ok(&DeclaredTraffic::default()));
        set_weights(&opened, r#"{"weights": {"2": 1}}"#).unwrap();
        assert!(opened.plane.declare(Ok(&of_digits(split(&[("green", 3)], &[("3", 1)])))));
        assert_eq!(opened.effective("digits"), [(3, 1)]);
        let labels = |opened: &Opened| opened.plane.view("digits").unwrap().entry.labels;
        assert_eq!(labels(&opened), [(label("green"), version(3))].into());
        assert!(opened.plane.declare(Ok(&DeclaredTraffic::default())));
        assert_eq!(opened.effective("digits"), [(2, 1)]);
        assert_eq!(labels(&opened), [(label("blue"), version(1))].into());
    }

    #[test]
    fn the_same_file_again_leaves_the_split_as_it_is() {
        let site = site(&["digits/1", "digits/2"]);
        let opened = site.loaded();
        let said = of_digits(split(&[], &[("1", 9), ("2", 1)]));
        assert!(opened.plane.declare(Ok(&said)));
        let before = opened.plane.view("digits").unwrap();
        assert!(opened.plane.declare(Ok(&said)));
        assert_eq!(opened.plane.view("digits").unwrap().etag, before.etag);
        assert!(opened.plane.declare(Ok(&of_digits(split(&[], &[])))), "without weights");
        assert_eq!(opened.effective("digits"), [(2, 1)]);
    }

    #[test]
    fn the_metrics_say_whether_what_the_file_says_is_in_force() {
        let opened = site(&["digits/1"]).loaded();
        let valid = |opened: &Opened| {
            let page = opened.telemetry.encode();
            let line = page.lines().find(|line| line.starts_with("tidegate_traffic_file_valid"));
            line.map(|line| line.rsplit(' ').next().unwrap().to_owned())
        };
        assert_eq!(valid(&opened), None);
        opened.plane.declare(Err("no such file"));
        assert_eq!(valid(&opened).as_deref(), Some("0"));
        opened.plane.declare(Ok(&of_digits(split(&[], &[("1", 1)]))));
        assert_eq!(valid(&opened).as_deref(), Some("1"));
    }
}
