//! What becomes of versions, good and bad ones, on a mock engine.

use super::*;
use crate::testing::{Site, model, version};

use VersionState::{Failed, Loading, Ready, Unloaded};

#[test]
fn a_version_that_fails_leaves_the_others_serving() {
    let site = Site::new(&["digits/1", "digits/2", "digits/3", "other/1"]);
    site.write("digits/2/model.onnx", "refuse");
    site.write("digits/3/model.onnx", "panic");
    site.write("digits/4/notes.txt", "no model here");
    let opened = site.open().unwrap();
    assert_eq!(opened.states("digits"), [Loading; 4]);
    opened.plane.load_all();

    assert_eq!(opened.states("digits"), [Ready, Failed, Failed, Failed]);
    assert_eq!(opened.states("other"), [Ready]);
    let catalog = opened.catalog();
    let reason = |number| {
        let entry = &catalog.models["digits"].versions[&version(number)];
        entry.reason.clone().unwrap_or_default()
    };
    assert_eq!(reason(2), "as it says");
    assert_eq!(reason(3), "the engine panicked while loading it: as it says");
    assert!(reason(4).starts_with("no model.onnx in "), "{}", reason(4));
    assert_eq!(reason(1), "");
    assert!(catalog.ready);
}

#[test]
fn it_is_ready_when_all_were_tried_and_one_can_be_served() {
    let site = Site::new(&["digits/1", "digits/2"]);
    site.write("digits/1/model.onnx", "refuse");
    let opened = site.open().unwrap();
    assert!(!opened.catalog().ready);
    opened.plane.load_all();
    assert!(opened.catalog().ready);
    opened.plane.shutdown();
    assert!(!opened.catalog().ready);

    site.write("digits/2/model.onnx", "refuse");
    drop(opened);
    assert!(!site.loaded().catalog().ready);
}

#[test]
fn shutdown_unloads_what_was_ready_and_what_comes_too_late_stays_out() {
    let site = Site::new(&["digits/1", "digits/2"]);
    site.write("digits/2/model.onnx", "refuse");
    let opened = site.loaded();
    opened.plane.shutdown();
    assert_eq!(opened.states("digits"), [Unloaded, Failed]);
    assert_eq!(opened.effective("digits"), []);
    opened.plane.shutdown();
    drop(opened);

    let late = site.open().unwrap();
    late.plane.shutdown();
    late.plane.load_all();
    assert_eq!(late.states("digits"), [Loading, Loading]);
}

#[test]
fn every_instance_runs_once_before_its_version_is_ready() {
    let site = Site::new(&["digits/1"]);
    // One instance alone, so that the runs of the safety check are told from the warm-up.
    let runs_with = |instances: usize| {
        let mut site = Site { mock: site.mock.clone(), ..Site::new(&["digits/1"]) };
        site.config.defaults.instances = Some(instances.try_into().unwrap());
        site.mock.forget_runs();
        drop(site.loaded());
        site.mock.runs().len()
    };
    assert_eq!(runs_with(4), runs_with(1) + 3);
}

#[test]
fn a_broken_sample_is_left_out_and_the_version_is_served() {
    let site = Site::new(&["digits/1"]);
    let good = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[5,2],
        "data":[1,2,3,4,5,6,7,8,9,10]}]}"#;
    site.write("digits/1/samples/good.json", good);
    site.write("digits/1/samples/broken.json", "{");
    site.write("digits/1/samples/wrong.json", &good.replace("\"x\"", "\"z\""));
    let opened = site.loaded();
    assert_eq!(opened.states("digits"), [Ready]);
    let saw_the_sample = |run: &tidegate_backend::Run| run.shapes[0][..] == [5, 2];
    assert!(site.mock.runs().iter().any(saw_the_sample));
}

#[test]
fn a_version_that_fails_on_its_own_sample_is_not_served() {
    let site = Site::new(&["digits/1"]);
    site.write(
        "digits/1/samples/a.json",
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[5,2],
            "data":[1,2,3,4,5,6,7,8,9,10]}]}"#,
    );
    site.mock.fail_when(|inputs| inputs[0].shape[0] == 5);
    let opened = site.loaded();
    assert_eq!(opened.states("digits"), [Failed]);
}

#[test]
fn states_and_weights_are_in_the_metrics() {
    let mut site = Site::new(&["digits/1", "digits/2"]);
    site.config.defaults.weights = Some([("1".parse().unwrap(), 30)].into());
    site.write("digits/2/model.onnx", "refuse");
    let text = site.loaded().telemetry.encode();
    let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    has(r#"tidegate_route_weight{model="digits",version="1"} 30"#);
    has(r#"tidegate_route_weight{model="digits",version="2"} 0"#);
    let failed = |line: &&str| {
        line.starts_with("tidegate_version_state{")
            && line.contains("version=\"2\"")
            && line.contains("failed")
    };
    assert!(text.lines().find(failed).is_some_and(|line| line.ends_with(" 1")), "{text}");
}

#[test]
fn the_default_model_is_the_configured_or_the_only_one() {
    let mut site = Site::new(&["digits/1"]);
    assert_eq!(site.loaded().catalog().default_model, Some(model("digits")));
    site.write("other/1/model.onnx", "a model");
    assert_eq!(site.loaded().catalog().default_model, None);
    site.config.default_model = Some(model("other"));
    assert_eq!(site.loaded().catalog().default_model, Some(model("other")));
}
