//! Changes by operators: what holds afterwards, at once and after a restart.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_inference::{Admission, Admitted, Deadline, RequestHead, VersionSelector};

use super::*;
use crate::testing::{Opened, Site, label, model, version};

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
    site.config.defaults.weights = Some([("3".parse().unwrap(), 1)].into());
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
    fs::create_dir(tidegate_repository::durable_file::beside(&site.config.state_file, ".tmp"))
        .unwrap();
    let error = set(&opened, r#"{"weights": {"1": 7}}"#).unwrap_err();
    assert!(error.to_string().starts_with("nothing was changed: state file"), "{error}");
    assert_eq!(opened.effective("digits"), [(2, 1)]);
    assert_eq!(opened.plane.view("digits").unwrap().etag, before);
}

#[test]
fn a_moved_label_takes_no_traffic_with_it() {
    let mut site = Site::new(&["digits/1", "digits/2"]);
    site.config.defaults.labels = Some([(label("blue"), version(1))].into());
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
    site.config.defaults.labels = Some([(label("blue"), version(1))].into());
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

#[test]
fn a_change_that_leaves_the_weights_leaves_the_split() {
    let site = Site::new(&["digits/1", "digits/2"]);
    let opened = site.loaded();
    set(&opened, r#"{"weights": {"1": 90, "2": 10}}"#).unwrap();
    let split = || opened.plane.models().models["digits"].split.split.clone().unwrap();
    let before = split();
    opened.plane.set_label("digits", label("blue"), version(1), &IfMatch::Any, "a test").unwrap();
    set(&opened, r#"{"weights": {"1": 90, "2": 10}}"#).unwrap();
    assert!(Arc::ptr_eq(&before, &split()));
    set(&opened, r#"{"weights": {"1": 10, "2": 90}}"#).unwrap();
    assert!(!Arc::ptr_eq(&before, &split()));
}

#[test]
fn the_next_request_is_routed_by_an_acknowledged_change() {
    let site = Site::new(&["digits/1", "digits/2"]);
    let opened = site.loaded();
    let picked = || {
        let received = Instant::now();
        let deadline = Deadline::after(received, Duration::from_secs(9));
        let (model, selector) = (model("digits"), VersionSelector::Weighted);
        let head = RequestHead { model, selector, received, deadline };
        opened.router.admit(&head, opened.router.permit(0).unwrap()).unwrap().version().get()
    };
    assert_eq!(picked(), 2);
    set(&opened, r#"{"weights": {"1": 1}}"#).unwrap();
    assert_eq!([picked(), picked()], [1, 1]);
    set(&opened, r#"{"weights": {"2": 1}}"#).unwrap();
    assert_eq!([picked(), picked()], [2, 2]);
}
