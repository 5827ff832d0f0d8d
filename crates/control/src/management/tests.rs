//! Models that come and go while others serve, on a mock engine whose loads and runs wait at gates.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use tidegate_inference::{
    Admission, Admitted, DataType, Deadline, Priority, Request, RequestHead, Response, Shape,
    Tensor, TensorData, Timeline, VersionPolicy, VersionSelector,
};
use tidegate_router::Passage;
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{Opened, Site, label, model, version};
use crate::{IfMatch, ModelSettings, WeightsRequest};

mod configurations;

use VersionState::{Draining, Failed, Loading, Ready, Unloaded};

impl Opened {
    fn spawn(&self, wish: impl FnOnce(&ControlPlane) -> Managed<'_> + Send + 'static) -> Wish {
        let plane = Arc::clone(&self.plane);
        tokio::spawn(async move { wish(&plane).await })
    }

    fn spawn_load(&self, model: &'static str) -> Wish {
        self.spawn(move |plane| plane.load(model.into(), LoadRequest::default()))
    }

    async fn load(&self, model: &str) -> Result<()> {
        self.plane.load(model.into(), LoadRequest::default()).await
    }

    async fn unload(&self, model: &str) -> Result<()> {
        self.plane.unload(model.into()).await
    }

    async fn reload(&self, wanted: &[WantedModel]) -> Result<()> {
        self.plane.reload(wanted.to_vec()).await
    }

    fn admit(&self, selector: VersionSelector) -> Result<Passage> {
        let received = Instant::now();
        let deadline = Deadline::after(received, Duration::from_secs(60));
        let model = model("digits");
        let head = RequestHead { model, selector, received, deadline };
        self.router.admit(&head, self.router.permit(0)?)
    }

    /// Asks version 1.
    async fn infer(&self) -> Result<Response> {
        infer(self.admit(VersionSelector::Version(version(1)))?).await
    }

    /// Yields until it holds; the runner's time limit is the bound.
    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            tokio::task::yield_now().await;
        }
    }

    fn reason(&self, model: &str, number: u64) -> Option<String> {
        self.catalog().models[model].versions[&version(number)].reason.clone()
    }

    fn numbers(&self, model: &str) -> Vec<u64> {
        self.catalog().models[model].versions.keys().map(|number| number.get()).collect()
    }

    fn has_metric(&self, line: &str) -> bool {
        self.telemetry.encode().lines().any(|found| found == line)
    }
}

type Wish = JoinHandle<Result<()>>;

async fn infer(mut passage: Passage) -> Result<Response> {
    let data = TensorData::Fixed(vec![0; 8].into());
    let x = Tensor::new("x", DataType::Fp32, Shape::new(&[1, 2]), data).unwrap();
    let request = Request {
        inputs: vec![x],
        outputs: Vec::new(),
        parameters: [].into(),
        deadline: None,
        priority: Priority::DEFAULT,
        timeline: Timeline::starting(Instant::now()),
    };
    let answer = passage.infer(request).await;
    passage.settle(answer.as_ref().map(|response| &response.timeline));
    answer
}

async fn begun(site: &Site, loads: usize) {
    let gate = Arc::clone(&site.gate);
    tokio::task::spawn_blocking(move || gate.wait_until_begun(loads)).await.unwrap();
}

fn wanted(name: &str, versions: VersionPolicy) -> WantedModel {
    WantedModel { name: name.into(), base_path: None, versions, labels: [].into() }
}

fn latest() -> VersionPolicy {
    VersionPolicy::Latest(NonZeroUsize::MIN)
}

fn specific(numbers: &[u64]) -> VersionPolicy {
    VersionPolicy::Specific(numbers.iter().map(|number| version(*number)).collect::<BTreeSet<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_loaded_while_the_others_serve() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    site.write("digits/2/model.onnx", "wait");
    let load = opened.spawn_load("digits");
    begun(&site, 1).await;
    assert_eq!(opened.states("digits"), [Ready, Loading]);
    opened.infer().await.unwrap();
    site.gate.open();
    load.await.unwrap().unwrap();
    assert_eq!(opened.states("digits"), [Ready, Ready]);
    assert_eq!(opened.effective("digits"), [(2, 1)]);
    assert_eq!(site.gate.loads().begun, 1, "and version 1 was left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_admitted_before_an_unload_is_answered_and_nothing_comes_after() {
    let site = Site::new(&["digits/1"]);
    let opened = Arc::new(site.loaded());
    // The body of this one is still on its way.
    let slow = opened.admit(VersionSelector::Weighted).unwrap();
    site.mock.hold();
    let inside: Vec<_> = (0..3)
        .map(|_| opened.admit(VersionSelector::Weighted).unwrap())
        .map(|passage| tokio::spawn(infer(passage)))
        .collect();
    let unload = opened.spawn(|plane| plane.unload("digits".into()));
    opened.until(|opened| opened.states("digits") == [Draining]).await;
    let refused = opened.admit(VersionSelector::Weighted).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.message().contains("not at ready state"), "{refused}");

    let slow = tokio::spawn(infer(slow));
    site.mock.open();
    for request in inside.into_iter().chain([slow]) {
        request.await.unwrap().unwrap();
    }
    unload.await.unwrap().unwrap();
    assert_eq!(opened.states("digits"), [Unloaded]);
    assert_eq!(opened.reason("digits", 1).as_deref(), Some("unloaded"));
    for line in [
        r#"tidegate_requests_accepted_total{model="digits",version="1"} 4"#,
        r#"tidegate_requests_total{model="digits",version="1",outcome="response"} 4"#,
        r#"tidegate_requests_in_flight{model="digits",version="1"} 0"#,
        r#"tidegate_queue_depth{model="digits",version="1"} 0"#,
        r#"tidegate_route_weight{model="digits",version="1"} 0"#,
        r#"tidegate_version_state{model="digits",version="1",state="unloaded"} 1"#,
        r#"tidegate_version_state{model="digits",version="1",state="ready"} 0"#,
    ] {
        assert!(opened.has_metric(line), "{line}\n{}", opened.telemetry.encode());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unloaded_model_stays_so_until_it_is_loaded_again() {
    let site = Site::new(&["digits/1", "digits/2", "other/1"]);
    let opened = site.loaded();
    opened.unload("digits").await.unwrap();
    opened.unload("digits").await.unwrap();
    assert_eq!(opened.states("digits"), [Unloaded, Unloaded]);
    assert_eq!(opened.states("other"), [Ready]);
    assert!(opened.catalog().models["digits"].versions[&version(1)].signature.is_none());
    opened.load("digits").await.unwrap();
    assert_eq!(opened.states("digits"), [Ready, Ready]);
    assert_eq!(opened.reason("digits", 1), None);
    let unknown = opened.unload("dogits").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownModel);
    assert_eq!(unknown.message(), "failed to unload 'dogits', no such model");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_version_is_replaced_and_the_requests_of_the_old_one_are_answered() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    let old = opened.admit(VersionSelector::Weighted).unwrap();
    opened.load("digits").await.unwrap();
    let same = opened.admit(VersionSelector::Weighted).unwrap();
    assert!(Arc::ptr_eq(old.signature(), same.signature()), "unchanged, so left alone");
    drop(same);

    site.write("digits/1/model.onnx", "another model");
    let load = opened.spawn_load("digits");
    let is_replaced = |opened: &Opened| {
        let now = opened.admit(VersionSelector::Weighted).unwrap();
        !Arc::ptr_eq(old.signature(), now.signature())
    };
    opened.until(is_replaced).await;
    assert_eq!(opened.states("digits"), [Ready]);
    assert!(!load.is_finished(), "it waits for the request inside");
    infer(old).await.unwrap();
    load.await.unwrap().unwrap();
    opened.infer().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_fails_leaves_what_serves() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    site.write("digits/1/model.onnx", "refuse");
    site.write("digits/2/model.onnx", "panic");
    let error = opened.load("digits").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(
        error.message(),
        "failed to load 'digits', version 1: as it says; failed to load 'digits', version 2: the engine \
         panicked while loading it: as it says"
    );
    assert_eq!(opened.states("digits"), [Ready, Failed]);
    opened.infer().await.unwrap();
    let reason = opened.reason("digits", 1).unwrap();
    assert_eq!(
        reason,
        "what was loaded before serves on, what was to replace it does not: as it says"
    );

    site.write("digits/1/model.onnx", "mended");
    site.write("digits/2/model.onnx", "mended");
    opened.load("digits").await.unwrap();
    assert_eq!(opened.states("digits"), [Ready, Ready]);
    assert_eq!(opened.reason("digits", 1), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_folder_has_gone_is_forgotten_and_its_weight_is_not() {
    let site = Site::new(&["digits/1", "digits/2"]);
    let opened = site.loaded();
    let weights = WeightsRequest::from_json(br#"{"weights": {"1": 1, "2": 3}}"#).unwrap();
    opened.plane.set_weights("digits", &weights, &IfMatch::Any, "a test").unwrap();
    fs::remove_dir_all(site.config.repository.join("digits/2")).unwrap();
    opened.load("digits").await.unwrap();
    assert_eq!(opened.numbers("digits"), [1]);
    assert_eq!(opened.effective("digits"), [(1, 1)]);
    let refused = opened.admit(VersionSelector::Version(version(2))).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::UnknownVersion);
    let state = r#"tidegate_version_state{model="digits",version="2",state="unloaded"} 1"#;
    assert!(opened.has_metric(state));

    site.write("digits/2/model.onnx", "a model");
    opened.load("digits").await.unwrap();
    assert_eq!(opened.effective("digits"), [(1, 1), (2, 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_comes_later_has_the_defaults_and_what_operators_had_set() {
    let mut site = Site::new(&["digits/1", "digits/2", "other/1"]);
    let opened = site.loaded();
    let weights = WeightsRequest::from_json(br#"{"weights": {"1": 1}}"#).unwrap();
    opened.plane.set_weights("digits", &weights, &IfMatch::Any, "a test").unwrap();
    drop(opened);
    let (aside, place) = (site._folder.path().join("aside"), site.config.repository.join("digits"));
    fs::rename(&place, &aside).unwrap();
    site.config.defaults.labels = Some([(label("first"), version(1))].into());
    let opened = site.loaded();
    let unknown = opened.load("digits").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownModel);
    let text = "failed to load 'digits', no such model in the model repository";
    assert_eq!(unknown.message(), text);
    assert_eq!(opened.load("../state").await.unwrap_err().kind(), ErrorKind::UnknownModel);

    fs::rename(&aside, &place).unwrap();
    opened.load("digits").await.unwrap();
    assert_eq!(opened.effective("digits"), [(1, 1)]);
    assert_eq!(opened.catalog().models["digits"].labels[&label("first")], version(1));
    assert_eq!(opened.states("digits"), [Ready, Ready]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_loads_at_once_are_one_after_the_other() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    site.write("a/1/model.onnx", "wait");
    site.write("b/1/model.onnx", "wait");
    let loads = [opened.spawn_load("a"), opened.spawn_load("b")];
    begun(&site, 1).await;
    opened.until(|opened| opened.plane.wishes.available_permits() == MAX_WISHES - 2).await;
    site.gate.open();
    for load in loads {
        load.await.unwrap().unwrap();
    }
    assert_eq!((site.gate.loads().begun, site.gate.loads().most_inside), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_caller_has_gone_is_ended_and_too_many_are_refused() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    site.write("digits/2/model.onnx", "wait");
    let loads: Vec<_> = (0..MAX_WISHES).map(|_| opened.spawn_load("digits")).collect();
    begun(&site, 1).await;
    opened.until(|opened| opened.plane.wishes.available_permits() == 0).await;
    loads.iter().for_each(JoinHandle::abort);
    let refused = opened.load("digits").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    site.gate.open();
    opened.until(|opened| opened.plane.wishes.available_permits() == MAX_WISHES).await;
    assert_eq!(opened.states("digits"), [Ready, Ready]);
    assert_eq!(site.gate.loads().begun, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_a_load_and_does_not_serve_it() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    site.write("digits/2/model.onnx", "wait");
    let load = opened.spawn_load("digits");
    begun(&site, 1).await;
    let plane = Arc::clone(&opened.plane);
    let shutdown = tokio::task::spawn_blocking(move || plane.shutdown());
    opened.until(|opened| opened.plane.models().stopping).await;
    site.gate.open();
    assert_eq!(shutdown.await.unwrap(), 0);
    assert_eq!(load.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(opened.states("digits"), [Unloaded, Unloaded]);
    for late in [opened.load("digits").await, opened.unload("digits").await] {
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_those_whom_an_unload_waits_for() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    let slow = opened.admit(VersionSelector::Weighted).unwrap();
    let unload = opened.spawn(|plane| plane.unload("digits".into()));
    opened.until(|opened| !opened.plane.models().leaving.is_empty()).await;
    let plane = Arc::clone(&opened.plane);
    assert_eq!(tokio::task::spawn_blocking(move || plane.shutdown()).await.unwrap(), 0);
    unload.await.unwrap().unwrap();
    assert_eq!(infer(slow).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_replaces_models_versions_and_labels() {
    let mut site = Site::new(&["digits/1", "digits/2", "digits/3", "other/1"]);
    site.config.models = [(
        model("digits"),
        ModelSettings {
            labels: Some([(label("old"), version(1))].into()),
            ..ModelSettings::default()
        },
    )]
    .into();
    let opened = site.loaded();
    let mut digits = wanted("digits", specific(&[1, 3]));
    digits.base_path = Some(site.config.repository.join("digits/.").display().to_string());
    digits.labels = [(label("stable"), version(1)), (label("canary"), version(3))].into();
    opened.reload(&[digits.clone()]).await.unwrap();
    assert_eq!(opened.states("digits"), [Ready, Unloaded, Ready]);
    assert_eq!(opened.states("other"), [Unloaded]);
    assert_eq!(opened.catalog().models["digits"].labels, digits.labels);

    opened
        .reload(&[wanted("other", VersionPolicy::All), wanted("digits", latest())])
        .await
        .unwrap();
    assert_eq!(opened.states("digits"), [Unloaded, Unloaded, Ready]);
    assert_eq!(opened.states("other"), [Ready]);
    opened.reload(&[]).await.unwrap();
    assert_eq!(opened.states("other"), [Unloaded]);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_a_reload_are_there_after_reopening() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    let mut digits = wanted("digits", latest());
    digits.labels = [(label("stable"), version(1))].into();
    opened.reload(&[digits.clone()]).await.unwrap();
    drop(opened);
    assert_eq!(site.loaded().catalog().models["digits"].labels, digits.labels);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_with_mistakes_tells_all_of_them_and_changes_nothing() {
    let site = Site::new(&["digits/1", "digits/2", "other/1", "third/1"]);
    site.write("fourth/1/notes.txt", "no model here");
    let opened = site.loaded();
    let labelled = |name: &str, policy, number| WantedModel {
        labels: [(label("stable"), version(number))].into(),
        ..wanted(name, policy)
    };
    let elsewhere =
        WantedModel { base_path: Some("/elsewhere".into()), ..wanted("other", latest()) };
    let error = opened
        .reload(&[
            labelled("digits", latest(), 1),
            wanted("digits", specific(&[7])),
            elsewhere,
            wanted("dogits", latest()),
            wanted("third", latest()),
            wanted("third", latest()),
            labelled("fourth", latest(), 1),
        ])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let repository = site.config.repository.display();
    assert_eq!(
        error.message().split("; ").collect::<Vec<_>>(),
        [
            "model 'digits': label 'stable' names version 1, the versions to be served are 2",
            "model 'digits': its version policy names 7, the versions are 1, 2",
            &format!(
                "model 'other': base_path '/elsewhere' is not its folder in the model repository, \
                 which is '{repository}/other'"
            ),
            "model 'dogits': no such model in the model repository",
            "model 'third': it is listed twice",
            &format!(
                "model 'fourth': label 'stable' names version 1, which cannot be served: no model.onnx \
                 in {repository}/fourth/1"
            ),
        ]
    );
    assert_eq!(opened.states("digits"), [Ready, Ready]);
    assert_eq!(opened.states("other"), [Ready]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_fails_takes_nothing_away() {
    let site = Site::new(&["digits/1", "other/1"]);
    let opened = site.loaded();
    site.write("digits/2/model.onnx", "refuse");
    let mut digits = wanted("digits", latest());
    digits.labels = [(label("stable"), version(2))].into();
    let error = opened.reload(&[digits]).await.unwrap_err();
    assert_eq!(error.message(), "failed to load 'digits', version 2: as it says");
    assert_eq!(opened.states("digits"), [Ready, Failed]);
    assert_eq!(opened.states("other"), [Ready]);
    assert!(opened.catalog().models["digits"].labels.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_replaced_is_not_heard_any_more() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    let edition = || {
        let models = opened.plane.models();
        models.models["digits"].versions[&version(1)].running.as_ref().unwrap().edition
    };
    let old = edition();
    site.write("digits/1/model.onnx", "another model");
    opened.load("digits").await.unwrap();
    assert_ne!(edition(), old);
    let unfit = || tidegate_backend::Fitness::Unfit("it broke".into());
    opened.plane.hears_of(&model("digits"), version(1), old, unfit());
    assert_eq!(opened.states("digits"), [Ready]);
    opened.plane.hears_of(&model("digits"), version(1), edition(), unfit());
    assert_eq!(opened.states("digits"), [Failed]);
}
