use std::fs;
use std::time::Duration;

use tidegate_inference::{DataType, Dim, TensorData, TensorSpec, VersionState};
use tidegate_proto::grpc::open_inference::encode_model_config;
use tidegate_proto::open_inference::model_config;

use super::*;
use crate::testing::{Opened, Site, model, version};
use crate::{BatchingConfig, ControlConfig, ModelConfig};

fn read(text: &str) -> TritonConfig {
    TritonConfig::from_text(&model("m"), Path::new("m"), text.as_bytes()).unwrap()
}

fn refusal(text: &str) -> String {
    let read = TritonConfig::from_text(&model("m"), Path::new("m"), text.as_bytes());
    read.unwrap_err().message().to_owned()
}

fn warnings(text: &str) -> Vec<String> {
    read(text).warnings.to_vec()
}

/// The configuration of a model that says nothing else.
fn config(text: &str) -> ModelConfig {
    Site::new(&["m/1"]).config.model_with(&model("m"), Some(Arc::new(read(text))))
}

fn batching(text: &str) -> (BatchingConfig, usize) {
    let config = config(text);
    (config.batching, config.max_batch_size.get())
}

fn fixed(batch_size: usize, delay_us: u64) -> BatchingConfig {
    BatchingConfig::Fixed {
        batch_size: batch_size.try_into().unwrap(),
        max_queue_delay: Duration::from_micros(delay_us),
    }
}

fn spec(name: &str, datatype: DataType, shape: &[i64]) -> TensorSpec {
    let dim = |dim: &i64| usize::try_from(*dim).map_or(Dim::Dynamic, Dim::Fixed);
    TensorSpec { name: name.into(), datatype, shape: shape.iter().map(dim).collect() }
}

fn signature() -> Signature {
    Signature {
        inputs: vec![spec("x", DataType::Fp32, &[-1, 4]), spec("t", DataType::Bytes, &[-1])],
        outputs: vec![spec("y", DataType::Int64, &[-1])],
    }
}

#[test]
fn max_batch_size_and_dynamic_batching_become_a_batching_rule() {
    let alone = |reason| BatchingConfig::OneByOne { reason };
    for (text, expected) in [
        ("", (BatchingConfig::Adaptive, 64)),
        ("max_batch_size: 0", (alone("its configuration says max_batch_size 0"), 64)),
        ("max_batch_size: 8", (alone("its configuration has no dynamic_batching"), 8)),
        ("max_batch_size: 8 dynamic_batching {}", (BatchingConfig::Adaptive, 8)),
        ("dynamic_batching {}", (BatchingConfig::Adaptive, 64)),
        (
            "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 100 }",
            (fixed(8, 100), 8),
        ),
        ("max_batch_size: 8 dynamic_batching { preferred_batch_size: [2, 4] }", (fixed(4, 0), 8)),
        (
            "max_batch_size: 8 dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 7 }",
            (fixed(4, 7), 8),
        ),
    ] {
        assert_eq!(batching(text), expected, "{text}");
    }
}

#[test]
fn a_queue_policy_becomes_a_queue_size_and_a_timeout() {
    let policy = |inner: &str| format!("dynamic_batching {{ default_queue_policy {{ {inner} }} }}");
    let config = config(&policy("max_queue_size: 7 default_timeout_microseconds: 2000"));
    assert_eq!(config.max_queue_size.get(), 7);
    assert_eq!(config.request_timeout, Some(Duration::from_millis(2)));
    let delayed = policy("timeout_action: DELAY default_timeout_microseconds: 2000");
    assert_eq!(self::config(&delayed).request_timeout, None);
    assert_eq!(
        warnings(&delayed),
        [
            "config.pbtxt line 1: field 'dynamic_batching.default_queue_policy.timeout_action' is not \
          honoured: DELAY, so that no request is rejected"
        ]
    );
}

#[test]
fn instance_groups_add_up_and_threads_are_the_engines_parameter() {
    let config = config(
        r#"instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 } ]
        parameters { key: "intra_op_thread_count" value { string_value: "3" } }"#,
    );
    assert_eq!((config.instances.get(), config.intra_op_threads.get()), (3, 3));
    assert_eq!(
        warnings("instance_group {\n count: 1\n kind: KIND_GPU gpus: [0, 1] }"),
        [
            "config.pbtxt line 3: field 'instance_group.kind' is not honoured: KIND_GPU, and models run \
             on the CPU here",
            "config.pbtxt line 3: field 'instance_group.gpus' is not honoured",
        ]
    );
}

#[test]
fn what_the_file_and_flags_say_holds_over_it_and_it_holds_over_the_defaults() {
    let mut config: ControlConfig = Site::new(&["m/1"]).config;
    let count = |number: usize| number.try_into().ok();
    config.defaults.instances = count(5);
    config.defaults.batch_size = count(32);
    config.defaults.max_queue_size = count(9);
    let own = ModelSettings { max_batch_size: count(16), ..ModelSettings::default() };
    config.models.insert(model("m"), own);
    config.overrides.request_timeout = Some(Duration::from_secs(1));
    let triton = read(
        "max_batch_size: 8 instance_group { count: 2 } dynamic_batching { default_queue_policy {
            default_timeout_microseconds: 5 } }",
    );
    let of = config.model_with(&model("m"), Some(Arc::new(triton)));
    assert_eq!((of.max_batch_size.get(), of.instances.get()), (16, 2));
    assert_eq!((of.max_queue_size.get(), of.request_timeout), (9, Some(Duration::from_secs(1))));
    // It said all there is to say of how requests share batches, so the default size does not hold.
    assert_eq!(of.batching, BatchingConfig::Adaptive);
}

#[test]
fn version_policies_are_read() {
    let policy = |inner: &str| read(&format!("version_policy {{ {inner} }}")).version_policy;
    assert_eq!(read("").version_policy, VersionPolicy::All);
    assert_eq!(policy("all {}"), VersionPolicy::All);
    assert_eq!(policy("latest {}"), VersionPolicy::Latest(1.try_into().unwrap()));
    assert_eq!(policy("latest { num_versions: 2 }"), VersionPolicy::Latest(2.try_into().unwrap()));
    let specific = VersionPolicy::Specific([version(1), version(3)].into());
    assert_eq!(policy("specific { versions: [1, 3] }"), specific);
}

#[test]
fn what_is_not_honoured_is_named_with_path_and_line() {
    let text = r#"name: "m"
platform: "onnxruntime_onnx"
optimization { cuda { graphs: true } }
dynamic_batching {
  preserve_ordering: true
  priority_levels: 3
  default_priority_level: 2
  priority_queue_policy { key: 1 value { max_queue_size: 5 } }
}
input { name: "x" dims: [1] reshape { shape: [] } optional: true label: "?" }
output { name: "y" label_filename: "labels.txt" }
parameters { key: "enable_mem_arena" value { string_value: "0" } }
response_cache { enable: true }
max_batchsize: 3"#;
    let mut found = warnings(text);
    found.sort();
    let mut expected = [
        "line 3: field 'optimization' is not honoured",
        "line 5: field 'dynamic_batching.preserve_ordering' is not honoured",
        "line 7: field 'dynamic_batching.default_priority_level' is not honoured: it is 5 here",
        "line 8: field 'dynamic_batching.priority_queue_policy' is not honoured",
        "line 10: field 'input.optional' is not honoured",
        "line 10: field 'input.reshape' is not honoured: requests and answers have the model's own shape",
        "line 10: field 'input.label' is not known and not honoured",
        "line 11: field 'output.label_filename' is not honoured",
        "line 12: field 'parameters['enable_mem_arena'].string_value' is not honoured",
        "line 13: field 'response_cache' is not honoured",
        "line 14: field 'max_batchsize' is not known and not honoured",
    ]
    .map(|warning| format!("config.pbtxt {warning}"));
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_would_make_answers_wrong_is_refused_and_all_of_it_is_told() {
    let at = |line: usize, field: &str, message: &str| {
        format!("config.pbtxt line {line}: field '{field}': {message}")
    };
    for (text, expected) in [
        ("name: 'n'", at(1, "name", "expected the folder's name, 'm', got 'n'")),
        (
            "platform: 'tensorrt_plan'",
            at(
                1,
                "platform",
                "expected 'onnxruntime_onnx', the only one here, got 'tensorrt_plan'",
            ),
        ),
        (
            "backend: 'python'",
            at(1, "backend", "expected 'onnxruntime', the only one here, got 'python'"),
        ),
        (
            "\ndefault_model_filename: 'a.onnx'",
            at(
                2,
                "default_model_filename",
                "expected 'model.onnx', the only name here, got 'a.onnx'",
            ),
        ),
        ("ensemble_scheduling {}", at(1, "ensemble_scheduling", "ensembles are not offered")),
        (
            "model_transaction_policy { decoupled: true }",
            at(1, "model_transaction_policy.decoupled", "a request gets exactly one answer here"),
        ),
        (
            "max_batch_size: -1\ninstance_group { count: 'x' kind: KIND_TPU }",
            [
                at(1, "max_batch_size", "expected a whole number from 0 to 2147483647, got -1"),
                at(
                    2,
                    "instance_group.kind",
                    "expected one of KIND_AUTO, KIND_GPU, KIND_CPU, KIND_MODEL, got KIND_TPU",
                ),
                at(2, "instance_group.count", "expected a whole number from 0 to 1024, got \"x\""),
            ]
            .join("; "),
        ),
        (
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: 5 }",
            at(
                1,
                "dynamic_batching.preferred_batch_size",
                "expected a whole number from 1 to 4, got 5",
            ),
        ),
        (
            "model_warmup { inputs { key: 'x' value { input_data_file: '../x' } } }",
            at(
                1,
                "model_warmup.inputs['x'].input_data_file",
                "expected a file inside the model's folder 'warmup'",
            ),
        ),
        ("input: 3", at(1, "input", "expected a message, got 3")),
        (
            "max_batch_size 3",
            "config.pbtxt line 1, column 16: expected ':' or a message in braces, got 3".into(),
        ),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
    assert!(refusal("sequence_batching { }").contains("sequences are not offered"));
}

#[test]
fn json_says_the_same_in_its_own_spellings() {
    let json = |text: &str| TritonConfig::from_json(&model("m"), Path::new("m"), text);
    let read = json(
        r#"{"name": "m", "maxBatchSize": "8", "input": [{"name": "x", "dataType": "TYPE_FP32", "dims": ["4"]}],
            "dynamic_batching": {"preferredBatchSize": [4], "max_queue_delay_microseconds": "100"},
            "version_policy": {"specific": {"versions": ["2"]}},
            "parameters": {"intra_op_thread_count": {"string_value": "2"}}, "optimization": {"eager_batching": false},
            "instance_group": [{"count": 1, "kind": "KIND_CPU", "gpus": []}], "typo": 1}"#,
    )
    .unwrap();
    assert_eq!(*read.warnings, ["model configuration: field 'typo' is not known and not honoured"]);
    assert_eq!(read.version_policy, VersionPolicy::Specific([version(2)].into()));
    read.check(&signature()).unwrap();
    let config = Site::new(&["m/1"]).config.model_with(&model("m"), Some(Arc::new(read)));
    assert_eq!((config.batching, config.max_batch_size.get()), (fixed(4, 100), 8));
    assert_eq!((config.instances.get(), config.intra_op_threads.get()), (1, 2));
    let fault = |text: &str| json(text).unwrap_err().message().to_owned();
    assert!(fault("{").starts_with("model configuration: EOF"));
    assert_eq!(
        fault(r#"{"platform": "x"}"#),
        "model configuration: field 'platform': expected 'onnxruntime_onnx', the only one here, got 'x'"
    );
}

/// Whoever asks for a configuration, edits it and loads it back has asked for nothing that is not honoured.
#[test]
fn what_we_answer_is_read_without_a_warning() {
    let opened = opened(&["m/1"], "max_batch_size: 8 dynamic_batching { preferred_batch_size: 4 }");
    let entry = opened.catalog().models["m"].versions[&version(1)].clone();
    let (signature, description) = (entry.signature.unwrap(), entry.description.unwrap());
    let config = encode_model_config("m", "onnxruntime_onnx", &signature, &description);
    let json = String::from_utf8(model_config(&config).to_vec()).unwrap();
    let read = TritonConfig::from_json(&model("m"), Path::new("m"), &json).unwrap();
    assert_eq!(*read.warnings, [""; 0]);
    read.check(&signature).unwrap();
    let read = Site::new(&["m/1"]).config.model_with(&model("m"), Some(Arc::new(read)));
    assert_eq!((read.batching, read.max_batch_size.get()), (fixed(4, 0), 8));
}

#[test]
fn claims_that_hold_are_accepted() {
    for text in [
        "",
        "max_batch_size: 8 input { name: 'x' data_type: TYPE_FP32 dims: [4] } output { name: 'y' dims: [] }",
        "max_batch_size: 0 input { name: 'x' data_type: TYPE_FP32 dims: [-1, 4] }",
        "max_batch_size: 0 input { name: 'x' dims: [8, 4] }",
        "input { name: 'x' dims: [4] } input { name: 't' data_type: TYPE_STRING dims: [-1] }",
        "max_batch_size: 8 input { name: 't' dims: [1] reshape { shape: [] } }",
    ] {
        read(text).check(&signature()).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn a_claim_that_does_not_hold_is_told_with_the_tensor_the_claim_and_the_truth() {
    for (text, expected) in [
        (
            "max_batch_size: 8 input { name: 'x' data_type: TYPE_INT8 dims: [4] }",
            "input 'x' is claimed to be INT8, the model has FP32",
        ),
        (
            "max_batch_size: 8 input { name: 'x' dims: [5] }",
            "input 'x' is claimed to be [5] after the batch dimension, the model has [-1,4]",
        ),
        (
            "max_batch_size: 0 input { name: 'x' dims: [4] }",
            "input 'x' is claimed to be [4], the model has [-1,4]",
        ),
        ("input { name: 'x' dims: [-1] }", "input 'x' is claimed to be [-1], the model has [-1,4]"),
        ("input { name: 'z' }", "input 'z' is claimed, the model has 'x', 't'"),
        ("output { name: 'x' }", "output 'x' is claimed, the model has 'y'"),
    ] {
        let error = read(text).check(&signature()).unwrap_err().to_string();
        assert_eq!(error, format!("config.pbtxt line 1: {expected}"), "{text}");
    }
    let both = "input { name: 'x' dims: 5 }\noutput { name: 'y' data_type: TYPE_BOOL }";
    let error = read(both).check(&signature()).unwrap_err().to_string();
    assert_eq!(error.matches("is claimed").count(), 2, "{error}");
}

#[test]
fn warm_up_requests_are_zeros_random_numbers_or_a_files_bytes() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("warmup")).unwrap();
    fs::write(folder.path().join("warmup/text"), b"\x02\0\0\0hi").unwrap();
    let text = |x: &str, t: &str| {
        format!(
            "max_batch_size: 8 model_warmup {{ name: 'w' batch_size: 2 count: 3
            inputs {{ key: 'x' value {{ data_type: TYPE_FP32 dims: [4] {x} }} }}
            inputs {{ key: 't' value {{ data_type: TYPE_STRING dims: [] {t} }} }} }}"
        )
    };
    let requests = |x: &str, t: &str| {
        let config = TritonConfig::from_text(&model("m"), folder.path(), text(x, t).as_bytes());
        config.unwrap().warm_up_requests(&signature())
    };
    let zero = requests("zero_data: true", "input_data_file: 'text'").unwrap();
    let [x, t] = &zero[0].inputs[..] else { panic!("two inputs") };
    assert_eq!((&x.shape()[..], x.data()), (&[2, 4][..], &TensorData::Fixed(vec![0; 32].into())));
    assert_eq!(t.data(), &TensorData::Strings(vec!["hi".into(), "hi".into()]));
    let random = requests("random_data: true", "random_data: true").unwrap();
    let TensorData::Fixed(bytes) = random[0].inputs[0].data() else { panic!("numbers") };
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    assert!(values.iter().all(|value| (0.0..1.0).contains(value)), "{values:?}");
    assert_eq!(values[..4], values[4..], "each row is the same");
    assert!(values[0] != values[1]);
    let fault = |x: &str, t: &str| requests(x, t).err().unwrap().to_string();
    assert!(fault("", "input_data_file: 'none'").contains("warmup/none: No such file"));
    fs::write(folder.path().join("warmup/short"), b"\x03\0\0\0hi").unwrap();
    assert!(fault("", "input_data_file: 'short'").contains("expected 1 strings"));
    assert!(fault("input_data_file: 'text'", "").contains("expected 16 bytes, got 6"));
}

/// A model of the test engine's, `x` and `y` of `[-1,2]`, with a configuration.
fn opened(versions: &[&str], text: &str) -> Opened {
    let site = Site::new(versions);
    site.write("m/config.pbtxt", text);
    site.loaded()
}

fn reason(opened: &Opened) -> String {
    let entry = opened.plane.view("m").unwrap().entry;
    entry.versions.values().next().and_then(|version| version.reason.clone()).unwrap_or_default()
}

#[test]
fn a_version_is_described_as_it_runs() {
    let opened = opened(
        &["m/1", "m/2", "m/3"],
        "max_batch_size: 4 dynamic_batching { preferred_batch_size: 2 } version_policy { latest { num_versions: 2 } }
        instance_group { count: 2 } input { name: 'x' dims: 2 } response_cache { enable: true }",
    );
    let versions = opened.catalog().models["m"].versions.clone();
    let numbers: Vec<u64> = versions.keys().map(|number| number.get()).collect();
    assert_eq!(numbers, [2, 3]);
    let entry = &versions[&version(3)];
    assert_eq!(*entry.warnings, ["config.pbtxt line 2: field 'response_cache' is not honoured"]);
    let described = entry.description.as_ref().unwrap();
    assert_eq!((described.max_batch_size, described.instances), (4, 2));
    assert_eq!(described.shared_batches.unwrap().batch_size, Some(2));
    assert_eq!(described.version_policy, VersionPolicy::Latest(2.try_into().unwrap()));
}

#[test]
fn without_dynamic_batching_requests_run_alone_and_may_have_rows() {
    let opened = opened(&["m/1"], "max_batch_size: 4");
    let catalog = opened.catalog();
    let described = catalog.models["m"].versions[&version(1)].description.clone().unwrap();
    assert_eq!((described.max_batch_size, described.shared_batches), (4, None));
}

#[test]
fn a_faulty_configuration_fails_its_own_model_only() {
    let site = Site::new(&["m/1", "n/1"]);
    site.write("m/config.pbtxt", "sequence_batching {}");
    let opened = site.loaded();
    assert_eq!(opened.states("m"), [VersionState::Failed]);
    assert_eq!(opened.states("n"), [VersionState::Ready]);
    assert!(reason(&opened).contains("'sequence_batching'"), "{}", reason(&opened));
}

#[test]
fn a_claim_a_warm_up_or_a_policy_that_does_not_fit_the_model_fails_its_versions() {
    for (text, expected) in [
        ("input { name: 'x' dims: 3 }", "input 'x' is claimed to be [3], the model has [-1,2]"),
        (
            "model_warmup { name: 'w' inputs { key: 'z' value {} } }",
            "model_warmup sample 'w': input 'z': the model has no such input",
        ),
        (
            "version_policy { specific { versions: 7 } }",
            "its version_policy selects none of its versions, which are 1",
        ),
    ] {
        let opened = opened(&["m/1"], text);
        assert_eq!(opened.states("m"), [VersionState::Failed]);
        assert!(reason(&opened).contains(expected), "{}", reason(&opened));
    }
}

#[test]
fn sizes_that_contradict_those_of_another_place_fail_the_model_and_not_the_start() {
    let mut site = Site::new(&["m/1", "n/1"]);
    site.config.defaults.max_batch_size = 4.try_into().ok();
    site.write("m/config.pbtxt", "dynamic_batching { preferred_batch_size: 8 }");
    let opened = site.loaded();
    assert_eq!(opened.states("n"), [VersionState::Ready]);
    let expected = "batch_size is 8, expected at most max_batch_size, which is 4";
    assert_eq!(reason(&opened), expected);
}

#[test]
fn every_instance_answers_every_warm_up_request() {
    let site = Site::new(&["m/1"]);
    site.write(
        "m/config.pbtxt",
        "max_batch_size: 8 instance_group { count: 2 }
        model_warmup { name: 'w' batch_size: 5 count: 3 inputs { key: 'x' value { dims: 2 zero_data: true } } }",
    );
    let opened = site.loaded();
    assert_eq!(opened.states("m"), [VersionState::Ready]);
    let five_rows = |run: &&tidegate_backend::Run| run.shapes[0][..] == [5, 2];
    assert!(site.mock.runs().iter().filter(five_rows).count() >= 6);
}
