//! The watch on a mock engine: looks are made by hand, so nothing waits for a clock.

use std::fs;
use std::sync::atomic::Ordering;

use tidegate_inference::{LoadRequest, Management, VersionPolicy, VersionState, WantedModel};

use super::*;
use crate::testing::{Opened, Site, label, model, version};

use VersionState::{Failed, Ready, Unloaded};

/// A gateway whose models were loaded at start, and what its watch has seen.
struct Watched {
    site: Site,
    opened: Opened,
    watch: Watch,
    now: Instant,
}

impl Watched {
    fn new(versions: &[&str]) -> Self {
        Self::of(Site::new(versions))
    }

    fn of(site: Site) -> Self {
        let opened = site.loaded();
        let mut watched = Self { site, opened, watch: Watch::default(), now: Instant::now() };
        watched.settle();
        watched
    }

    fn look(&mut self) {
        self.opened.plane.look_again_at(&mut self.watch, self.now);
    }

    /// Until what there is now was seen twice.
    fn settle(&mut self) {
        (0..2).for_each(|_| self.look());
    }

    fn remove(&self, path: &str) {
        fs::remove_dir_all(self.site.config.repository.join(path)).unwrap();
    }

    fn states(&self) -> Vec<(u64, VersionState)> {
        let catalog = self.opened.catalog();
        let Some(digits) = catalog.models.get("digits") else { return Vec::new() };
        digits.versions.iter().map(|(version, entry)| (version.get(), entry.state)).collect()
    }

    fn reason(&self, number: u64) -> Option<String> {
        self.opened.catalog().models["digits"].versions[&version(number)].reason.clone()
    }

    /// That succeeded.
    fn loads(&self) -> u64 {
        self.opened.plane.editions.load(Ordering::Relaxed)
    }

    fn metric(&self, start: &str) -> f64 {
        let page = self.opened.telemetry.encode();
        let line = page.lines().find(|line| line.starts_with(start));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

#[test]
fn a_new_version_is_loaded_when_it_looked_the_same_twice() {
    let mut watched = Watched::new(&["digits/1"]);
    watched.site.write("digits/2/model.onnx", "half");
    watched.look();
    assert_eq!(watched.states(), [(1, Ready)]);
    watched.site.write("digits/2/model.onnx", "half and more");
    watched.look();
    assert_eq!(watched.states(), [(1, Ready)], "still growing");
    watched.look();
    assert_eq!(watched.states(), [(1, Ready), (2, Ready)]);
}

#[test]
fn nothing_is_loaded_again_while_nothing_changes() {
    let mut watched = Watched::new(&["digits/1", "digits/2"]);
    let before = watched.loads();
    (0..5).for_each(|_| watched.settle());
    assert_eq!(watched.loads(), before);
}

#[test]
fn a_changed_version_takes_its_place_and_one_that_fails_does_not() {
    let mut watched = Watched::new(&["digits/1"]);
    let before = watched.loads();
    watched.site.write("digits/1/model.onnx", "another model");
    watched.settle();
    assert_eq!((watched.loads(), watched.states()), (before + 1, vec![(1, Ready)]));
    watched.site.write("digits/1/model.onnx", "refuse");
    watched.settle();
    assert_eq!(watched.states(), [(1, Ready)]);
    let reason = watched.reason(1).unwrap();
    assert!(reason.starts_with("what was loaded before serves on"), "{reason}");
    assert_eq!(watched.metric("tidegate_load_failures_total{"), 1.0);
    watched.settle();
    assert_eq!(watched.metric("tidegate_load_failures_total{"), 1.0, "not tried again at once");
}

#[test]
fn what_failed_is_tried_again_later_and_not_for_ever() {
    let mut watched = Watched::new(&["digits/1"]);
    watched.site.write("digits/2/model.onnx", "refuse");
    watched.settle();
    assert_eq!(watched.states(), [(1, Ready), (2, Failed)]);
    watched.stamp_attempt();
    let mut tries = Vec::new();
    for minute in 1..=600 {
        watched.now += Duration::from_secs(60);
        let before = watched.metric("tidegate_load_failures_total{");
        watched.look();
        if watched.metric("tidegate_load_failures_total{") > before {
            tries.push(minute);
            watched.stamp_attempt();
        }
    }
    assert_eq!(tries, [1, 3, 7, 15]);
    watched.site.write("digits/2/model.onnx", "mended");
    watched.settle();
    assert_eq!(watched.states(), [(1, Ready), (2, Ready)]);
}

impl Watched {
    /// As if the last one was made now: attempts are stamped by the real clock, which stands still here.
    fn stamp_attempt(&self) {
        let mut models = self.opened.plane.models();
        let known = models.version_mut(&model("digits"), version(2)).unwrap();
        known.attempt.as_mut().unwrap().at = self.now;
    }
}

#[test]
fn a_version_whose_folder_has_gone_is_unloaded_at_the_second_look() {
    let mut watched = Watched::new(&["digits/1", "digits/2"]);
    watched.remove("digits/2");
    watched.look();
    assert_eq!(watched.states(), [(1, Ready), (2, Ready)]);
    watched.look();
    assert_eq!(watched.states(), [(1, Ready)]);
}

#[test]
fn models_come_and_go() {
    let mut watched = Watched::new(&["digits/1"]);
    watched.site.write("other/7/model.onnx", "a model");
    watched.settle();
    assert!(watched.opened.catalog().models.contains_key("other"));
    watched.remove("other");
    watched.look();
    watched.settle();
    assert!(!watched.opened.catalog().models.contains_key("other"));
    assert_eq!(watched.states(), [(1, Ready)]);
}

#[test]
fn a_repository_in_which_nothing_is_left_changes_nothing() {
    let mut watched = Watched::new(&["digits/1"]);
    watched.remove("digits");
    (0..3).for_each(|_| watched.settle());
    assert_eq!(watched.states(), [(1, Ready)]);
    fs::remove_dir_all(&watched.site.config.repository).unwrap();
    watched.settle();
    assert_eq!(watched.states(), [(1, Ready)]);
    assert_eq!(watched.metric("tidegate_repository_scan_failures_total"), 8.0);
    watched.site.write("digits/1/model.onnx", "a model");
    watched.site.write("digits/2/model.onnx", "a model");
    watched.look();
    watched.settle();
    assert_eq!(watched.states(), [(1, Ready), (2, Ready)]);
}

#[test]
fn into_an_empty_repository_a_model_may_come() {
    let mut site = Site::new(&[]);
    fs::create_dir_all(&site.config.repository).unwrap();
    assert!(site.open().is_err(), "unless it is allowed");
    site.config.allow_empty = true;
    let mut watched = Watched::of(site);
    assert!(!watched.opened.catalog().ready);
    assert_eq!(watched.opened.plane.why_not_ready().unwrap(), "no version of any model is loaded");
    watched.site.write("digits/1/model.onnx", "a model");
    watched.settle();
    assert!(watched.opened.catalog().ready);
    assert_eq!(watched.opened.catalog().default_model, Some(model("digits")));
}

#[tokio::test]
async fn what_was_asked_for_is_kept_to() {
    let mut watched = Watched::new(&["digits/1", "other/1"]);
    watched.opened.plane.unload("digits".into()).await.unwrap();
    watched.site.write("digits/2/model.onnx", "a model");
    watched.settle();
    assert_eq!(watched.states(), [(1, Unloaded)]);
    watched.opened.plane.load("digits".into(), LoadRequest::default()).await.unwrap();
    assert_eq!(watched.states(), [(1, Ready), (2, Ready)]);
    let wanted = WantedModel {
        name: "digits".to_owned(),
        base_path: None,
        versions: VersionPolicy::Specific([version(2)].into()),
        labels: [].into(),
    };
    watched.opened.plane.reload(vec![wanted]).await.unwrap();
    watched.site.write("digits/3/model.onnx", "a model");
    watched.site.write("new/1/model.onnx", "a model");
    watched.settle();
    assert_eq!(watched.states(), [(1, Unloaded), (2, Ready), (3, Unloaded)]);
    assert!(!watched.opened.catalog().models.contains_key("new"));
}

#[tokio::test]
async fn an_attempt_that_nobody_wants_any_more_is_not_due_for_ever() {
    let mut watched = Watched::new(&["digits/1"]);
    watched.site.write("digits/2/model.onnx", "refuse");
    watched.settle();
    watched.opened.plane.unload("digits".into()).await.unwrap();
    watched.now += Duration::from_secs(120);
    let due =
        |watched: &Watched| watched.opened.plane.has_due_attempt(&model("digits"), watched.now);
    assert!(due(&watched));
    watched.look();
    assert!(!due(&watched));
}

#[test]
fn a_configuration_that_cannot_be_used_leaves_what_serves() {
    let mut watched = Watched::new(&["digits/1"]);
    watched.site.write("digits/config.pbtxt", "name: \"digits\" max_batch_size: }");
    watched.settle();
    assert_eq!(watched.states(), [(1, Ready)]);
    assert!(watched.reason(1).unwrap().contains("config.pbtxt"), "{:?}", watched.reason(1));
    fs::remove_file(watched.site.config.repository.join("digits/config.pbtxt")).unwrap();
    watched.settle();
    assert_eq!(watched.reason(1), None);
}

#[test]
fn files_that_are_not_those_that_were_pushed_are_not_loaded() {
    let mut watched = Watched::new(&["digits/1"]);
    watched.site.write("digits/2/model.onnx", "a mode");
    watched.site.write("digits/versions.json", &manifest("null", "{}"));
    watched.settle();
    assert_eq!(watched.states(), [(1, Ready), (2, Failed)]);
    let reason = watched.reason(2).unwrap();
    assert!(reason.starts_with("it is not what was pushed: model.onnx"), "{reason}");
    watched.site.write("digits/2/model.onnx", "a model");
    watched.settle();
    assert_eq!(watched.states(), [(1, Ready), (2, Ready)]);
}

#[test]
fn an_activation_is_followed_once_and_what_operators_set_later_holds() {
    let mut watched = Watched::new(&["digits/1", "digits/2"]);
    let since = |minute: u8| {
        format!(r#"{{"version":2,"since":"2026-11-23T03:{minute:02}:00.000000000Z","by":"me"}}"#)
    };
    let labels = format!(r#"{{"green":{}}}"#, since(0));
    watched.site.write("digits/versions.json", &manifest(&since(0), &labels));
    watched.settle();
    assert_eq!(watched.opened.effective("digits"), [(2, 1)]);
    let view = watched.opened.plane.view("digits").unwrap();
    assert_eq!(view.entry.labels, [(label("green"), version(2))].into());

    let request = crate::WeightsRequest::from_json(br#"{"weights": {"1": 1}}"#).unwrap();
    let any = crate::IfMatch::Any;
    watched.opened.plane.set_weights("digits", &request, &any, "a test").unwrap();
    watched.site.write("digits/2/other.bin", "changes the version");
    watched.settle();
    assert_eq!(watched.opened.effective("digits"), [(1, 1)]);
    // Another word beside it does not bring it back either.
    let labels = format!(r#"{{"green":{},"late":{}}}"#, since(0), since(2));
    watched.site.write("digits/versions.json", &manifest(&since(0), &labels));
    watched.settle();
    assert_eq!(watched.opened.plane.view("digits").unwrap().entry.labels.len(), 2);
    assert_eq!(watched.opened.effective("digits"), [(1, 1)]);

    // A restart does not follow it again either, and another activation is followed.
    let Watched { site, opened, .. } = watched;
    drop(opened);
    let mut watched = Watched::of(site);
    assert_eq!(watched.opened.effective("digits"), [(1, 1)]);
    watched.site.write("digits/versions.json", &manifest(&since(1), &labels));
    watched.settle();
    assert_eq!(watched.opened.effective("digits"), [(2, 1)]);
}

#[test]
fn a_label_that_was_deleted_with_its_version_is_forgotten() {
    let mut watched = Watched::new(&["digits/1", "digits/2"]);
    let green = r#"{"green":{"version":2,"since":"2026-11-23T03:00:00.000000000Z","by":"me"}}"#;
    watched.site.write("digits/versions.json", &manifest("null", green));
    watched.settle();
    let labels = |watched: &Watched| watched.opened.plane.view("digits").unwrap().entry.labels;
    assert_eq!(labels(&watched), [(label("green"), version(2))].into());
    watched.site.write("digits/versions.json", &manifest("null", "{}"));
    watched.remove("digits/2");
    (0..2).for_each(|_| watched.settle());
    assert_eq!(labels(&watched), [].into());
}

#[test]
fn what_the_manifest_says_is_kept_for_when_the_traffic_file_lets_go() {
    let mut site = Site::new(&["digits/1", "digits/2"]);
    site.config.traffic_file = Some("/etc/traffic.toml".into());
    let mut watched = Watched::of(site);
    let split = crate::DeclaredSplit {
        weights: [("1".parse().unwrap(), 1)].into(),
        ..crate::DeclaredSplit::default()
    };
    let said = crate::DeclaredTraffic([(model("digits"), split)].into());
    assert!(watched.opened.plane.declare(Ok(&said)));
    let active = r#"{"version":2,"since":"2026-11-23T03:00:00.000000000Z","by":"me"}"#;
    watched.site.write("digits/versions.json", &manifest(active, "{}"));
    watched.settle();
    assert_eq!(watched.opened.effective("digits"), [(1, 1)]);
    assert!(watched.opened.plane.declare(Ok(&crate::DeclaredTraffic::default())));
    assert_eq!(watched.opened.effective("digits"), [(2, 1)]);
}

#[test]
fn an_activation_of_a_version_that_is_not_ready_waits_for_it() {
    let mut watched = Watched::new(&["digits/1"]);
    let active = r#"{"version":2,"since":"2026-11-23T03:00:00.000000000Z","by":"me"}"#;
    let weights = crate::WeightsRequest::from_json(br#"{"weights": {"1": 1}}"#).unwrap();
    let any = crate::IfMatch::Any;
    watched.opened.plane.set_weights("digits", &weights, &any, "a test").unwrap();
    watched.site.write("digits/versions.json", &manifest(active, "{}"));
    watched.settle();
    assert_eq!(watched.opened.effective("digits"), [(1, 1)]);
    watched.site.write("digits/2/model.onnx", "a model");
    watched.settle();
    assert_eq!(watched.opened.effective("digits"), [(2, 1)]);
}

/// The SHA-256 of `a model`.
const SHA256: &str = "97ff8a35544dcf40ad84047074439dd6aa3a0be469ea578a1b1c017d939ec61c";

/// Of one version, 2, whose file holds `a model`.
fn manifest(active: &str, labels: &str) -> String {
    format!(
        r#"{{"schema":1,"model":"digits","revision":1,"active":{active},"previous":[],"labels":{labels},"versions":[
        {{"version":2,"pushed_at":"2026-11-23T02:00:00.000000000Z","pushed_by":"me","size":7,
          "signature":{{"inputs":[],"outputs":[]}},
          "files":[{{"path":"model.onnx","size":7,"sha256":"{SHA256}"}}]}}]}}"#
    )
}
