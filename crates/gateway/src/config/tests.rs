use tidegate_control::BatchingConfig;
use tidegate_inference::ModelName;

use super::*;

/// Written to a folder of its own, with a repository beside it.
struct File {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for model in ["a", "b", "digits"] {
            let version = folder.path().join("repository").join(model).join("1");
            std::fs::create_dir_all(&version).unwrap();
            std::fs::write(version.join("model.onnx"), "").unwrap();
        }
        let path = folder.path().join("tidegate.toml");
        std::fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    fn read(&self, overrides: &[(&'static str, &str)]) -> Result<Config, String> {
        let overrides = overrides.iter().map(|(key, text)| Override {
            key,
            text: (*text).to_owned(),
            origin: Origin::Variable(key.to_uppercase()),
        });
        Config::read(Some(&self.path), &Overrides(overrides.collect())).map_err(|problems| {
            problems.to_string().replace(&format!("{}/", self.folder.path().display()), "")
        })
    }
}

const GOOD: &str = r#"
[repository]
path = "repository"
"#;

fn good(more: &str) -> Config {
    File::new(&format!("{GOOD}{more}")).read(&[]).unwrap()
}

fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn fixed(batch_size: usize, delay_ms: u64) -> BatchingConfig {
    let max_queue_delay = Duration::from_millis(delay_ms);
    BatchingConfig::Fixed { batch_size: count(batch_size), max_queue_delay }
}

#[test]
fn all_mistakes_are_reported_together_each_with_its_place() {
    let file = File::new(
        r#"
[repository]
path = "nowhere"
default_model = "a/b"

[data]
address = "localhost:8501"

[limits]
max_body_size = "64MB"
request_timeout = 30
max_requests_in_flight = 0

[logs]
level = "info"

[defaults]
batchsize = 8
max_batch_size = "64"
colour = "red"

[models.digits]
labels = { blue = 1, 2 = 2 }
weights = { blue = 90, green = 10, red = -1 }
batch_size = 16
max_batch_size = 8

[models."x/y"]
"#,
    );
    let expected = r#"16 mistakes in the configuration:
  environment DEFAULTS.MAX_QUEUE_DELAY: defaults.max_queue_delay: expected a duration of at most a year with its unit (us, ms, s, m or h), such as "50ms", got "5"
  tidegate.toml:3: repository.path: expected a folder, got nowhere
  tidegate.toml:4: repository.default_model: expected a model name: 1 to 255 bytes, no '/', '\', ':' or control characters, not starting with a dot, got "a/b"
  tidegate.toml:7: data.address: expected an IP address and port, such as "127.0.0.1:8501", a socket, such as "unix:/run/tidegate.sock", or a list of up to 16 of them, got "localhost:8501"
  tidegate.toml:10: limits.max_body_size: expected a size with its unit (B, KiB, MiB or GiB), such as "64MiB", got "64MB"
  tidegate.toml:11: limits.request_timeout: expected a duration above 0 and of at most a year with its unit (us, ms, s, m or h), such as "50ms", got 30
  tidegate.toml:12: limits.max_requests_in_flight: expected a whole number from 1, got 0
  tidegate.toml:14: logs: no such key; did you mean 'log'?
  tidegate.toml:18: defaults.batchsize: no such key; did you mean 'batch_size'?
  tidegate.toml:19: defaults.max_batch_size: expected a whole number from 1, got "64"
  tidegate.toml:20: defaults.colour: no such key; known here: labels, weights, batch_size, max_batch_size, max_queue_delay, max_queue_size, slo, request_timeout, max_execution_time, instances, intra_op_threads
  tidegate.toml:23: models.digits.labels.2: expected a label: a name that is not a number, without '/', '\' or ':', got "2"
  tidegate.toml:24: models.digits.weights: expected one of the labels, got 'green'
  tidegate.toml:24: models.digits.weights.red: expected a weight, a whole number from 0 to 10000, got -1
  tidegate.toml:25: models.digits.batch_size: expected at most max_batch_size (8), got 16
  tidegate.toml:28: models.x/y: expected a model name: 1 to 255 bytes, no '/', '\', ':' or control characters, not starting with a dot, got "x/y""#;
    let text = file.read(&[("defaults.max_queue_delay", "5")]).unwrap_err();
    let (text, expected): (Vec<_>, Vec<_>) = (text.lines().collect(), expected.lines().collect());
    assert_eq!(text, expected);
}

#[test]
fn what_the_file_says_is_used() {
    let config = good(
        r#"default_model = "digits"
[data]
address = "127.0.0.1:1"
server_timing = false
management = true
[shared_memory]
path = "/dev/shm"
[admin]
address = "[::1]:2"
[state]
path = "/var/lib/tidegate"
[onnxruntime]
library = "lib/libonnxruntime.so"
[limits]
max_body_size = "1MiB"
max_requests_in_flight = 7
max_bytes_in_flight = "2MiB"
request_timeout = "1.5s"
stream_idle_timeout = "3s"
[log]
level = "warn,tidegate::access=info"
access_sample = 1
[shutdown]
grace_period = "5s"
[runtime]
worker_threads = 3
"#,
    );
    assert_eq!(config.control.default_model, Some(ModelName::new("digits").unwrap()));
    assert_eq!(config.data, ["127.0.0.1:1".parse().unwrap()]);
    assert_eq!(config.admin_address, "[::1]:2".parse().unwrap());
    assert!(!config.ingress.server_timing);
    assert!(config.ingress.management);
    assert_eq!(config.ingress.shared_memory.as_deref(), Some(Path::new("/dev/shm")));
    assert_eq!(config.ingress.stream_idle_timeout, Duration::from_secs(3));
    assert_eq!(config.control.state_file, Path::new("/var/lib/tidegate/state.json"));
    assert_eq!(config.ingress.max_body_size, 1 << 20);
    assert_eq!(config.limits.max_requests_in_flight, 7);
    assert_eq!(config.ingress.request_timeout, Duration::from_millis(1500));
    assert_eq!(config.log.filter.as_str(), "warn,tidegate::access=info");
    assert_eq!(config.access, AccessSampling::ALL);
    assert_eq!(config.grace_period, Duration::from_secs(5));
    assert_eq!(config.worker_threads, count(3));
}

#[test]
fn paths_in_the_file_are_relative_to_it_and_others_to_the_working_folder() {
    let file = File::new(&format!("{GOOD}[state]\npath = \"state\""));
    let config = file.read(&[("onnxruntime.library", "here.so")]).unwrap();
    assert_eq!(config.control.repository, file.folder.path().join("repository"));
    assert_eq!(config.control.state_file, file.folder.path().join("state/state.json"));
    assert_eq!(config.onnxruntime.as_deref(), Some(Path::new("here.so")));
}

#[test]
fn without_a_file_the_environment_alone_will_do() {
    let file = File::new("");
    let repository = file.folder.path().join("repository");
    let overrides = Overrides(vec![Override {
        key: "repository.path",
        text: repository.display().to_string(),
        origin: Origin::Variable("MODEL_BASE_PATH".to_owned()),
    }]);
    let config = Config::read(None, &overrides).unwrap();
    assert_eq!(config.control.repository, repository);
    let both = ["127.0.0.1:8500", "127.0.0.1:8501"].map(|address| address.parse().unwrap());
    assert_eq!(config.data, both);
    assert_eq!(config.admin_address, "127.0.0.1:8502".parse().unwrap());
    assert!(Config::read(None, &Overrides::default()).is_err());
}

#[test]
fn several_listeners_are_an_array_in_the_file_and_a_list_outside() {
    let listed = ["127.0.0.1:1", "unix:/run/tidegate.sock"].map(|text| text.parse().unwrap());
    let array = "[data]\naddress = [\"127.0.0.1:1\", \"unix:/run/tidegate.sock\"]\n";
    assert_eq!(good(array).data, listed);
    let overridden = [("data.address", "127.0.0.1:1,unix:/run/tidegate.sock")];
    assert_eq!(File::new(GOOD).read(&overridden).unwrap().data, listed);
    for bad in ["[]", "[\"127.0.0.1:1\", 2]", "8501"] {
        let text = File::new(&format!("{GOOD}[data]\naddress = {bad}\n")).read(&[]).unwrap_err();
        assert!(text.contains("data.address: expected an IP address and port"), "{text}");
    }
}

#[test]
fn no_address_is_listened_on_twice() {
    let mistake = |text: &str| File::new(&format!("{GOOD}{text}")).read(&[]).unwrap_err();
    let twice = mistake("[data]\naddress = [\"[::1]:1\", \"127.0.0.1:1\", \"[::1]:1\"]\n");
    assert!(
        twice.contains("data.address: expected each address once, got [::1]:1 twice"),
        "{twice}"
    );
    let admin = mistake("[admin]\naddress = \"127.0.0.1:8500\"\n");
    assert!(admin.contains("expected another address than data.address"), "{admin}");
    assert_eq!(good("[data]\naddress = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n").data.len(), 2);
}

#[test]
fn a_model_takes_what_it_does_not_say_from_the_defaults() {
    let config = good("[defaults]\nmax_batch_size = 4\ninstances = 3\n[models.a]\ninstances = 1\n");
    let model = config.control.model(&ModelName::new("a").unwrap());
    assert_eq!((model.max_batch_size, model.instances), (count(4), count(1)));
    let other = config.control.model(&ModelName::new("b").unwrap());
    assert_eq!((other.max_batch_size, other.instances), (count(4), count(3)));
}

#[test]
fn the_environment_beats_the_file_for_every_model() {
    let file =
        File::new(&format!("{GOOD}[defaults]\nbatch_size = 2\n[models.a]\nbatch_size = 4\n"));
    let config = file.read(&[("defaults.batch_size", "16")]).unwrap();
    for model in ["a", "b"] {
        let model = config.control.model(&ModelName::new(model).unwrap());
        assert_eq!(model.batching, fixed(16, 0));
    }
}

#[test]
fn a_mistake_between_the_environment_and_a_model_is_laid_at_the_environment() {
    let file = File::new(&format!("{GOOD}[models.a]\nmax_batch_size = 4\n"));
    let text = file.read(&[("defaults.batch_size", "8")]).unwrap_err();
    let mistake = "models.a.batch_size: expected at most max_batch_size (4), got 8";
    let line = text.lines().find(|line| line.contains(mistake)).unwrap();
    assert!(!line.contains("not set"), "{line}");
}

#[test]
fn nobody_waits_longer_than_an_hour_for_company() {
    let text =
        File::new(&format!("{GOOD}[models.a]\nmax_queue_delay = \"61m\"")).read(&[]).unwrap_err();
    assert!(text.contains("models.a.max_queue_delay: expected at most an hour"), "{text}");
}

#[test]
fn the_json_depth_has_a_bound() {
    let text = File::new(&format!("{GOOD}[limits]\nmax_json_depth = 1001")).read(&[]).unwrap_err();
    assert!(text.contains("limits.max_json_depth: expected at most 1000, got 1001"), "{text}");
}

#[test]
fn one_batch_size_alone_adapts_the_other() {
    let sizes = |more: &str| {
        let model = good(&format!("[defaults]\n{more}")).control.unnamed();
        (model.batching, model.max_batch_size.get())
    };
    assert_eq!(sizes("max_batch_size = 4\nmax_queue_delay = \"5ms\""), (fixed(4, 5), 4));
    assert_eq!(sizes("batch_size = 128"), (fixed(128, 0), 128));
    assert_eq!(sizes("max_queue_delay = \"5ms\""), (fixed(8, 5), 64));
}

#[test]
fn batching_adapts_unless_a_size_or_a_delay_is_written_somewhere() {
    let file = File::new(&format!("{GOOD}[models.a]\nmax_queue_delay = \"0ms\"\n"));
    let batching = |overrides: &[(&'static str, &str)]| {
        let config = file.read(overrides).unwrap();
        ["a", "b"].map(|model| config.control.model(&ModelName::new(model).unwrap()).batching)
    };
    assert_eq!(batching(&[]), [fixed(8, 0), BatchingConfig::Adaptive]);
    assert_eq!(batching(&[("defaults.max_batch_size", "4")])[1], BatchingConfig::Adaptive);
    assert_eq!(batching(&[("defaults.batch_size", "4")]), [fixed(4, 0), fixed(4, 0)]);
    assert_eq!(batching(&[("defaults.max_queue_delay", "1ms")]), [fixed(8, 1), fixed(8, 1)]);
}

#[test]
fn a_model_bounds_its_times_within_the_servers() {
    let config = good(
        r#"[defaults]
slo = "200ms"
[models.a]
slo = "50ms"
request_timeout = "1s"
max_execution_time = "5s"
[limits]
request_timeout = "2s"
"#,
    );
    let model = |name| config.control.model(&ModelName::new(name).unwrap());
    let ms = |number| Some(Duration::from_millis(number));
    assert_eq!((model("a").slo, model("a").request_timeout), (ms(50), ms(1000)));
    assert_eq!(model("a").max_execution_time, Duration::from_secs(5));
    assert_eq!((model("b").slo, model("b").request_timeout), (ms(200), None));
    assert_eq!(model("b").max_execution_time, Duration::from_secs(30));
}

#[test]
fn a_time_that_could_never_be_met_is_a_mistake() {
    let text = File::new(&format!(
        r#"{GOOD}
[limits]
request_timeout = "2s"
[models.a]
request_timeout = "3s"
max_execution_time = "0s"
[models.b]
slo = "2.5s"
[models.digits]
slo = "50ms"
request_timeout = "40ms"
"#
    ))
    .read(&[])
    .unwrap_err();
    assert!(text.starts_with("4 mistakes"), "{text}");
    for said in [
        "models.a.request_timeout: expected at most limits.request_timeout (2s), got 3s",
        "models.a.max_execution_time: expected a duration above 0",
        "models.b.slo: expected at most request_timeout (2s), got 2.5s",
        "models.digits.slo: expected at most request_timeout (40ms), got 50ms",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn weights_name_labels_that_exist_and_are_not_all_zero() {
    let fault = |more: &str| File::new(&format!("{GOOD}{more}")).read(&[]).unwrap_err();
    let text = fault("[models.a]\nlabels = { blue = 1 }\nweights = { green = 1 }");
    assert!(text.contains("models.a.weights: expected one of the labels, got 'green'"), "{text}");
    let text = fault("[models.a]\nweights = { 1 = 0, 2 = 0 }");
    assert!(text.contains("models.a.weights: expected at least one weight above 0"), "{text}");
}

#[test]
fn what_is_named_must_be_in_the_repository() {
    let more = "default_model = \"c\"\n[models.a]\nlabels = { blue = 9 }\n[models.d]\n";
    let text = File::new(&format!("{GOOD}{more}")).read(&[]).unwrap_err();
    assert!(text.starts_with("3 mistakes"), "{text}");
    for said in ["models.d: no such model", "default model 'c'", "label 'blue' names version 9"] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_told_by_line_and_without_echo() {
    let text = File::new("[repository\npath = \n").read(&[]).unwrap_err();
    assert!(text.contains("tidegate.toml:1: not TOML: "), "{text}");
    assert!(!text.contains("no such key"), "{text}");
}

#[test]
fn a_file_that_is_not_there_is_the_only_complaint() {
    let problems = Config::read(Some(Path::new("/nowhere.toml")), &Overrides::default());
    let text = problems.unwrap_err().to_string();
    assert!(text.starts_with("1 mistake in the configuration:\n  /nowhere.toml: cannot be read: "));
}

#[test]
fn two_ports_cannot_be_one() {
    let more = "[data]\naddress = \"127.0.0.1:1\"\n[admin]\naddress = \"127.0.0.1:1\"\n";
    let text = File::new(&format!("{GOOD}{more}")).read(&[]).unwrap_err();
    assert!(text.contains("admin.address: expected another address than data.address"), "{text}");
    let any = "[data]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n";
    good(any);
}

const WEB: &str = "0123456789abcdef-web";

impl File {
    fn beside(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }
}

#[test]
fn keys_are_wanted_by_both_ports_and_by_scrapers_only_when_said() {
    let read = |more: &str| {
        let file = File::new(&format!("{GOOD}[api_keys]\npath = \"keys\"\n{more}"));
        let config = file.beside("keys", WEB).read(&[]).unwrap();
        let keys = config.api_keys.unwrap();
        (keys.data, keys.admin, keys.metrics)
    };
    assert_eq!(good("").api_keys, None);
    assert_eq!(read(""), (true, true, false));
    assert_eq!(read("data = false\nmetrics = true\n"), (false, true, true));
}

#[test]
fn every_mistake_in_the_keys_is_told_by_file_and_line_and_never_shows_a_key() {
    let file = File::new(&format!("{GOOD}[api_keys]\npath = \"keys\"\n[data]\nmetric = true\n"));
    let text = format!("web {WEB}\nweb {WEB}x\n\nshort secret\n{WEB} {WEB}y predict,root\n");
    let told = file.beside("keys", &text).read(&[]).unwrap_err();
    assert!(told.starts_with("4 mistakes"), "{told}");
    for said in [
        "tidegate.toml:5: api_keys.path: keys:2: expected another name than in line 1",
        "api_keys.path: keys:4: expected a key of 16 to 512 characters, got one of 6",
        "api_keys.path: keys:5: expected scopes as the third word",
        "data.metric: no such key; did you mean 'metrics'?",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!told.contains("0123456789abcdef") && !told.contains("secret"), "{told}");
}

#[test]
fn a_switch_without_a_file_of_keys_is_no_lock() {
    let told = File::new(&format!("{GOOD}[api_keys]\ndata = true\n")).read(&[]).unwrap_err();
    assert!(
        told.contains("tidegate.toml:4: api_keys.path: expected the file of the keys"),
        "{told}"
    );
    let told = File::new(GOOD).read(&[("api_keys.path", "/nowhere/keys")]).unwrap_err();
    let said = "environment API_KEYS.PATH: api_keys.path: /nowhere/keys: cannot be read";
    assert!(told.contains(said), "{told}");
}
