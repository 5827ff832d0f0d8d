//! The whole gateway in this process, on a mock engine: it starts, serves, is steered by
//! `tidegate weights`, and leaves.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tidegate_backend::MockBackend;
use tidegate_gateway::{ApiKeys, Config, Gateway, Running, Stopped};
use tidegate_inference::{DataType, Dim, Label, ModelName, Signature, TensorSpec, Version};
use tidegate_ingress::ListenAddress;

const INFER: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}"#;

fn mock() -> MockBackend {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: DataType::Fp32,
        shape: vec![Dim::Dynamic, Dim::Fixed(2)],
    };
    MockBackend::affine(Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] })
}

fn config(folder: &Path) -> Config {
    for version in ["1", "2"] {
        let version = folder.join("repository/m").join(version);
        std::fs::create_dir_all(&version).unwrap();
        std::fs::write(version.join("model.onnx"), "").unwrap();
    }
    let mut config = Config::new(folder.join("repository"), &folder.join("state"));
    config.data = vec!["127.0.0.1:0".parse().unwrap()];
    config.admin_address.set_port(0);
    config.grace_period = Duration::from_secs(20);
    let mut model = config.control.defaults.clone();
    for (label, version) in [("blue", 1), ("green", 2)] {
        let (name, version) = (Label::new(label).unwrap(), Version::new(version).unwrap());
        model.labels.get_or_insert_default().insert(name, version);
        model.weights.get_or_insert_default().insert(label.parse().unwrap(), 1);
    }
    config.control.models.insert(ModelName::new("m").unwrap(), model);
    config
}

/// Of its only listener.
fn data(running: &Running) -> SocketAddr {
    running.data().unwrap()
}

struct Http(Client<HttpConnector, Full<Bytes>>);

impl Http {
    fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    async fn send(&self, url: String, body: Option<&'static str>) -> (u16, Bytes) {
        let method = if body.is_some() { "POST" } else { "GET" };
        let request = http::Request::builder()
            .method(method)
            .uri(url)
            .body(Full::new(Bytes::from_static(body.unwrap_or_default().as_bytes())))
            .unwrap();
        let response = self.0.request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn infer(&self, running: &Running) -> (u16, Bytes) {
        self.send(format!("http://{}/v2/models/m/infer", data(running)), Some(INFER)).await
    }

    async fn infer_with(&self, running: &Running, key: &str) -> u16 {
        let url = format!("http://{}/v2/models/m/infer", data(running));
        let request = http::Request::post(url).header("x-api-key", key);
        let request = request.body(Full::new(Bytes::from_static(INFER.as_bytes()))).unwrap();
        self.0.request(request).await.unwrap().status().as_u16()
    }

    /// Polls, as any supervisor does: each round is an answered request, there is nothing to sleep for.
    async fn until_ready(&self, running: &Running) {
        let ready = async {
            while self.send(format!("http://{}/readyz", running.admin), None).await.0 != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ready).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_serves_and_drains() {
    let folder = tempfile::tempdir().unwrap();
    let running = Gateway::start(config(folder.path()), Arc::new(mock())).await.unwrap();
    let http = Http::new();
    http.until_ready(&running).await;
    let (status, body) = http.infer(&running).await;
    assert_eq!(status, 200, "{body:?}");
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["outputs"][0]["data"], serde_json::json!([3.0, 5.0]));
    let (status, metrics) = http.send(format!("http://{}/metrics", running.admin), None).await;
    assert_eq!(status, 200);
    assert!(str::from_utf8(&metrics).unwrap().contains("tidegate_requests_total{"));
    let data = data(&running);
    drop(http);
    assert_eq!(running.stop().await, Stopped::Drained);
    assert!(tokio::net::TcpStream::connect(data).await.is_err(), "the port is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_inside_is_answered_before_the_gateway_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let engine = mock();
    let running = Gateway::start(config(folder.path()), Arc::new(engine.clone())).await.unwrap();
    let http = Http::new();
    http.until_ready(&running).await;
    engine.hold();
    let url = format!("http://{}/v2/models/m/infer", data(&running));
    let inside = tokio::spawn(async move { http.send(url, Some(INFER)).await.0 });
    tokio::task::spawn_blocking({
        let engine = engine.clone();
        move || engine.wait_until_held(1)
    })
    .await
    .unwrap();
    let leaving = tokio::spawn(running.stop());
    engine.open();
    assert_eq!(inside.await.unwrap(), 200);
    assert_eq!(leaving.await.unwrap(), Stopped::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_outlasts_the_grace_period_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let engine = mock();
    let mut config = config(folder.path());
    config.grace_period = Duration::from_millis(10);
    let mut running = Gateway::start(config, Arc::new(engine.clone())).await.unwrap();
    let http = Http::new();
    http.until_ready(&running).await;
    engine.hold();
    let url = format!("http://{}/v2/models/m/infer", data(&running));
    let inside = tokio::spawn(async move { http.send(url, Some(INFER)).await });
    tokio::task::spawn_blocking({
        let engine = engine.clone();
        move || engine.wait_until_held(1)
    })
    .await
    .unwrap();
    assert!(!running.drain().await);
    engine.open();
    assert_eq!(running.stop().await, Stopped::CutOff);
    inside.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_there_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.control.repository = folder.path().join("nowhere");
    let error = Gateway::start(config, Arc::new(mock())).await.unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(folder.path());
    config.admin_address = taken.local_addr().unwrap();
    let error = Gateway::start(config, Arc::new(mock())).await.unwrap_err().to_string();
    assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_taken_is_named_and_the_others_are_closed_again() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(folder.path());
    let socket = folder.path().join("data.sock");
    config.data =
        vec![ListenAddress::Unix(socket.clone()), ListenAddress::Tcp(taken.local_addr().unwrap())];
    let error = Gateway::start(config, Arc::new(mock())).await.unwrap_err().to_string();
    assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_listened_on_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("data.sock");
    let _taken = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut config = config(folder.path());
    config.data = vec![ListenAddress::Unix(socket.clone())];
    let error = Gateway::start(config, Arc::new(mock())).await.unwrap_err().to_string();
    let said = format!("unix:{}", socket.display());
    assert!(error.contains(&said) && error.contains("listens on it already"), "{error}");
}

/// Runs `tidegate`; its exit status and what it printed.
async fn tidegate(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).env_remove("TIDEGATE_API_KEY_FILE").env_remove("TIDEGATE_ADMIN");
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = run.await.unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_ready_from_live_and_says_why_a_model_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let engine = mock();
    let running = Gateway::start(config(folder.path()), Arc::new(engine.clone())).await.unwrap();
    let admin = running.admin.to_string();
    let probe = async |more: &[&str]| {
        let asked = ["probe", "--admin", &admin].iter().chain(more).copied().collect::<Vec<_>>();
        tidegate(&asked).await
    };
    // Whatever loading takes: it waits for it.
    assert_eq!(probe(&["--wait", "20s"]).await, (Some(0), String::new()));
    for well in [&[][..], &["--live"], &["--model", "m"], &["--model", "m", "--version", "2"]] {
        assert_eq!(probe(well).await, (Some(0), String::new()), "{well:?}");
    }
    let (status, told) = probe(&["--model", "m", "--version", "3", "--wait", "250ms"]).await;
    assert_eq!(status, Some(1));
    let said = "tidegate: still so after 250ms: model 'm' has no version 3: version 1 is ready";
    assert!(told.starts_with(said), "{told}");
    let (status, told) = probe(&["--model", "letters"]).await;
    assert_eq!(status, Some(1));
    assert!(told.contains("no model 'letters', the models are: m"), "{told}");

    let unload = http::Request::post(format!("http://{admin}/admin/v1/models/m/unload"));
    let unloaded = Http::new().0.request(unload.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(unloaded.status(), 200);
    assert_eq!(probe(&["--live"]).await.0, Some(0));
    let (status, told) = probe(&[]).await;
    assert_eq!(status, Some(1));
    assert!(told.starts_with("tidegate: not ready"), "{told}");
    let (status, told) = probe(&["--model", "m"]).await;
    assert_eq!(status, Some(1));
    assert!(told.contains("no version of model 'm' is ready: version 1 is unloaded"), "{told}");
    running.stop().await;
}

const OPS: &str = "0123456789abcdef-ops";
const NEXT: &str = "0123456789abcdef-next";

#[tokio::test(flavor = "multi_thread")]
async fn keys_guard_both_ports_and_a_changed_file_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("ops {OPS}\n")).unwrap();
    let mut config = config(folder.path());
    config.api_keys = Some(ApiKeys { path: file.clone(), data: true, admin: true, metrics: false });
    let running = Gateway::start(config, Arc::new(mock())).await.unwrap();
    let http = Http::new();
    http.until_ready(&running).await;
    assert_eq!(http.infer(&running).await.0, 401);
    let models = format!("http://{}/admin/v1/models", running.admin);
    assert_eq!(http.send(models, None).await.0, 401);

    let admin = running.admin.to_string();
    let (status, told) = tidegate(&["weights", "m", "--admin", &admin]).await;
    assert_eq!(status, Some(1));
    assert!(told.contains("an API key is needed") && told.contains("--api-key-file"), "{told}");
    let path = file.display().to_string();
    let with_key = ["--admin", &admin, "--api-key-file", &path];
    for command in [&["weights", "m", "blue=1"][..], &["probe", "--model", "m"]] {
        let (status, told) = tidegate(&[command, &with_key].concat()).await;
        assert_eq!(status, Some(0), "{told}");
    }
    // A key that is refused does not get better by waiting.
    let stranger = folder.path().join("stranger");
    std::fs::write(&stranger, "0123456789abcdef-stranger").unwrap();
    let stranger = stranger.display().to_string();
    let wait = ["probe", "--model", "m", "--wait", "1h", "--admin", &admin];
    let (status, told) = tidegate(&[&wait[..], &["--api-key-file", &stranger]].concat()).await;
    assert_eq!(status, Some(1));
    assert!(told.contains("the API key is not known here"), "{told}");

    let new = folder.path().join("new");
    std::fs::write(&new, format!("ops {NEXT}\n")).unwrap();
    std::fs::rename(new, &file).unwrap();
    let changed = async {
        while http.infer_with(&running, OPS).await != 401 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap();
    assert_eq!(http.infer_with(&running, NEXT).await, 200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_used_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, "secret").unwrap();
    let mut config = config(folder.path());
    config.api_keys = Some(ApiKeys { path: file, data: true, admin: true, metrics: false });
    let error = Gateway::start(config, Arc::new(mock())).await.unwrap_err().to_string();
    assert!(error.contains("keys:1: expected a key of 16 to 512"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_shown_set_and_guarded_from_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let running = Gateway::start(config(folder.path()), Arc::new(mock())).await.unwrap();
    Http::new().until_ready(&running).await;
    let weights = |arguments: &'static [&'static str]| {
        let admin = running.admin.to_string();
        tokio::task::spawn_blocking(move || {
            let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
                .args(["weights", "--admin", &admin])
                .args(arguments)
                .output()
                .unwrap();
            let text = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(text).unwrap())
        })
    };
    let (status, shown) = weights(&["m"]).await.unwrap();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("1        blue    ready       1  50.0%"), "{shown}");
    let (status, shown) = weights(&["m", "blue=90", "2=10"]).await.unwrap();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("2        green   ready      10  10.0%"), "{shown}");
    let (status, shown) = weights(&["m", "blue=1", "--if-match", "\"old\""]).await.unwrap();
    assert_eq!(status, Some(1), "{shown}");
    assert!(shown.contains("nothing was written"), "{shown}");
    let (status, shown) = weights(&["m", "red=1"]).await.unwrap();
    assert_eq!(status, Some(1), "{shown}");
    assert!(shown.contains("red"), "{shown}");
    let (status, shown) = weights(&["letters"]).await.unwrap();
    assert_eq!(status, Some(1), "{shown}");
    assert!(shown.contains("letters"), "{shown}");
    running.stop().await;
}
