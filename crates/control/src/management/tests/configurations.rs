//! Loads with another configuration than before: one that was sent, or one that was edited in the repository.

use tidegate_inference::BatchingStatus;

use super::*;

impl Opened {
    async fn load_with(&self, model: &str, config: &str) -> Result<()> {
        self.plane.load(model.into(), LoadRequest { config: Some(config.into()) }).await
    }

    fn max_batch_size(&self, number: u64) -> usize {
        match &self.catalog().models["digits"].versions[&version(number)].batching {
            BatchingStatus::Batched { max_batch_size } => *max_batch_size,
            other => panic!("{other:?}"),
        }
    }

    /// What runs as version 1.
    fn edition(&self) -> u64 {
        let mut models = self.plane.models();
        let known = models.version_mut(&model("digits"), version(1)).unwrap();
        known.running.as_ref().unwrap().edition
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sent_configuration_holds_without_a_request_lost_until_a_load_without_one() {
    let site = Site::new(&["digits/1"]);
    let opened = Arc::new(site.loaded());
    let usual = opened.max_batch_size(1);
    let old = opened.admit(VersionSelector::Weighted).unwrap();
    let load = tokio::spawn({
        let opened = Arc::clone(&opened);
        let config =
            r#"{"max_batch_size": 3, "dynamic_batching": {}, "response_cache": {"enable": true}}"#;
        async move { opened.load_with("digits", config).await }
    });
    opened.until(|opened| opened.max_batch_size(1) == 3).await;
    assert_eq!(opened.states("digits"), [Ready]);
    assert!(!load.is_finished(), "it waits for the request inside");
    infer(old).await.unwrap();
    load.await.unwrap().unwrap();
    opened.infer().await.unwrap();
    let entry = opened.catalog().models["digits"].versions[&version(1)].clone();
    assert_eq!(entry.description.unwrap().max_batch_size, 3);
    assert_eq!(*entry.warnings, ["model configuration: field 'response_cache' is not honoured"]);

    opened.load("digits").await.unwrap();
    assert_eq!(opened.max_batch_size(1), usual);
    assert!(opened.catalog().models["digits"].versions[&version(1)].warnings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_before_anything_changes() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    let edition = opened.edition();
    site.write("digits/2/model.onnx", "a model");
    for (config, expected) in [
        ("", "failed to load 'digits', model configuration"),
        (r#"{"name": "dogits"}"#, "expected the folder's name, 'digits', got 'dogits'"),
        (r#"{"sequence_batching": {}}"#, "sequences are not offered"),
        (
            r#"{"version_policy": {"specific": {"versions": [7]}}}"#,
            "its version_policy selects none of its versions, which are 1, 2",
        ),
    ] {
        let error = opened.load_with("digits", config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains(expected), "{error}");
    }
    site.write("digits/config.pbtxt", "max_batch_size: many");
    let error = opened.load("digits").await.unwrap_err();
    assert!(error.message().starts_with("failed to load 'digits', config.pbtxt line 1"), "{error}");
    let error = opened.reload(&[wanted("digits", VersionPolicy::All)]).await.unwrap_err();
    assert!(error.message().starts_with("model 'digits': config.pbtxt line 1"), "{error}");
    assert_eq!((opened.numbers("digits"), opened.edition()), (vec![1], edition));
    assert_eq!((opened.states("digits"), opened.reason("digits", 1)), (vec![Ready], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_does_not_fit_the_model_leaves_what_serves() {
    let site = Site::new(&["digits/1"]);
    let opened = site.loaded();
    let edition = opened.edition();
    let claim = r#"{"input": [{"name": "x", "dims": [3]}]}"#;
    let error = opened.load_with("digits", claim).await.unwrap_err();
    assert!(error.message().contains("the model has [-1,2]"), "{error}");
    assert_eq!((opened.states("digits"), opened.edition()), (vec![Ready], edition));
    assert!(opened.reason("digits", 1).unwrap().starts_with("what was loaded before serves on"));

    opened.load("digits").await.unwrap();
    assert_eq!((opened.edition(), opened.reason("digits", 1)), (edition, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_configuration_is_honoured_by_the_next_load_and_an_equal_one_left_alone() {
    let site = Site::new(&["digits/1"]);
    site.write("digits/config.pbtxt", "max_batch_size: 4 dynamic_batching {}");
    let opened = site.loaded();
    assert_eq!(opened.max_batch_size(1), 4);
    site.write("digits/config.pbtxt", "max_batch_size: 5 dynamic_batching {}");
    opened.load("digits").await.unwrap();
    assert_eq!(opened.max_batch_size(1), 5);

    let edition = opened.edition();
    site.write("digits/config.pbtxt", "# The same.\nmax_batch_size: 5\ndynamic_batching {}");
    opened.load("digits").await.unwrap();
    assert_eq!(opened.edition(), edition);
    opened.load_with("digits", r#"{"max_batch_size": 6, "dynamic_batching": {}}"#).await.unwrap();
    opened.reload(&[wanted("digits", latest())]).await.unwrap();
    assert_eq!(opened.max_batch_size(1), 5, "a reload brings none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_policy_decides_about_a_load_and_gives_way_to_that_of_a_reload() {
    let site = Site::new(&["digits/1", "digits/2"]);
    let opened = site.loaded();
    let newest = r#"{"version_policy": {"latest": {}}}"#;
    opened.load_with("digits", newest).await.unwrap();
    assert_eq!((opened.numbers("digits"), opened.states("digits")), (vec![2], vec![Ready]));
    site.write("digits/3/model.onnx", "refuse");
    opened.load_with("digits", newest).await.unwrap_err();
    assert_eq!(
        (opened.numbers("digits"), opened.states("digits")),
        (vec![2, 3], vec![Ready, Failed])
    );

    site.write("digits/config.pbtxt", "version_policy { specific { versions: 2 } }");
    opened.reload(&[wanted("digits", specific(&[1]))]).await.unwrap();
    assert_eq!(opened.states("digits"), [Ready, Unloaded, Unloaded]);
    opened.load("digits").await.unwrap();
    assert_eq!((opened.numbers("digits"), opened.states("digits")), (vec![2], vec![Ready]));
}
