//! The admin API as a client sees it: bytes over TCP.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidegate_credentials::{Door, Keys, Port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::AdminServer;
use crate::testing::{Opened, Site, label, version};

struct Api {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    opened: Opened,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    site: Site,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// An error, whole: the status, and a message under the one key that errors have.
    fn error(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.body);
        (self.status, self.json()["error"].as_str().expect("a message").to_owned())
    }
}

impl Api {
    /// Model `digits` with versions 1 (blue) and 2 (green), which is ready, and 3, which failed.
    async fn start() -> Self {
        Self::guarded(None).await
    }

    /// Callers need one of these keys, a line each; scrapers too.
    async fn guarded(keys: Option<&str>) -> Self {
        let mut site = Site::new(&["digits/1", "digits/2", "digits/3"]);
        site.write("digits/3/model.onnx", "refuse");
        site.config.defaults.labels =
            Some([(label("blue"), version(1)), (label("green"), version(2))].into());
        let opened = site.loaded();
        let ready = Arc::new(AtomicBool::new(true));
        let readiness = {
            let ready = Arc::clone(&ready);
            move || (!ready.load(Ordering::Relaxed)).then(|| "as the test says".to_owned())
        };
        let server =
            AdminServer::new(Arc::clone(&opened.plane), Arc::clone(&opened.telemetry), readiness);
        let server = server.behind(keys.map(|keys| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("keys");
            std::fs::write(&file, keys).unwrap();
            Door::new(Keys::read(&file, &opened.telemetry).unwrap(), Port::Admin, true)
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        Self { address, ready, opened, stop, server, site }
    }

    async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        // A server that refuses a large body answers before it has read it, and closes.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    async fn post(&self, path: &str) -> Answer {
        self.send("POST", path, &[], "").await
    }

    async fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, &[], body).await
    }
}

const MODEL: &str = "/admin/v1/models/digits";
const WEIGHTS: &str = "/admin/v1/models/digits/weights";

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_were_put_are_read_back_and_in_force() {
    let api = Api::start().await;
    assert_eq!(api.get(WEIGHTS).await.json(), json!({"weights": {}}));
    let put = api.put(WEIGHTS, r#"{"weights": {"blue": 90, "2": 10}}"#).await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(put.json(), json!({"weights": {"1": 90, "2": 10, "3": 0}}));
    assert_eq!(api.opened.effective("digits"), [(1, 90), (2, 10)]);

    let read = api.get(WEIGHTS).await;
    assert_eq!((read.json(), read.header("etag")), (put.json(), put.header("etag")));
    // What was read may be sent back as it is.
    let again = api.put(WEIGHTS, &read.body).await;
    assert_eq!((again.status, again.header("etag")), (200, read.header("etag")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_document_tells_everything() {
    let api = Api::start().await;
    api.put(WEIGHTS, r#"{"weights": {"blue": 3, "green": 1}}"#).await;
    let answer = api.get(MODEL).await;
    let document = answer.json();
    assert_eq!(document["etag"].as_str(), answer.header("etag"));
    assert_eq!(document["labels"], json!({"blue": 1, "green": 2}));
    assert_eq!(document["default"], json!(true));
    let tensor = |name| json!([{"name": name, "datatype": "FP32", "shape": [-1, 2]}]);
    assert_eq!(
        document["versions"][0],
        json!({
            "version": 1, "state": "ready", "reason": null, "warnings": [], "platform": "mock",
            "labels": ["blue"], "weight": 3, "share": 0.75,
            "batching": {"batched": true, "max_batch_size": 64},
            "signature": {"inputs": tensor("x"), "outputs": tensor("y")},
        })
    );
    assert_eq!(
        document["versions"][2],
        json!({
            "version": 3, "state": "failed", "reason": "as it says", "warnings": [],
            "platform": "mock", "labels": [], "weight": 0, "share": 0.0,
            "batching": null, "signature": null,
        })
    );
    assert_eq!(api.get("/admin/v1/models").await.json(), json!({"models": [document]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slower_operator_gets_412_and_what_holds_now() {
    let api = Api::start().await;
    let read = api.get(WEIGHTS).await;
    let seen = format!("if-match: {}", read.header("etag").unwrap());
    let first = api.send("PUT", WEIGHTS, &[&seen], r#"{"weights": {"1": 1}}"#).await;
    assert_eq!(first.status, 200);
    let second = api.send("PUT", WEIGHTS, &[&seen], r#"{"weights": {"2": 1}}"#).await;
    assert_eq!(second.error().0, 412);
    assert_eq!(
        second.json()["current"],
        json!({
            "etag": first.header("etag"),
            "labels": {"blue": 1, "green": 2},
            "weights": {"1": 1, "2": 0, "3": 0},
        })
    );
    assert_eq!(api.opened.effective("digits"), [(1, 1)]);

    // Two fields are one list; `*` asks for nothing but the model.
    let now = format!("if-match: {}", first.header("etag").unwrap());
    let listed = api.send("PUT", WEIGHTS, &[&seen, &now], r#"{"weights": {"2": 1}}"#).await;
    assert_eq!(listed.status, 200);
    let star = api.send("PUT", WEIGHTS, &["if-match: *"], r#"{"weights": {"1": 1}}"#).await;
    assert_eq!(star.status, 200);
    let bad = api.send("PUT", WEIGHTS, &["if-match: now"], r#"{"weights": {"1": 1}}"#).await;
    assert_eq!(bad.error().0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_made_moved_and_removed() {
    let api = Api::start().await;
    let canary = format!("{MODEL}/labels/canary%20one");
    let made = api.put(&canary, r#"{"version": 2}"#).await;
    assert_eq!(made.json(), json!({"labels": {"blue": 1, "canary one": 2, "green": 2}}));
    let moved = api.put(&canary, r#"{"version": 3}"#).await;
    assert_eq!(moved.json()["labels"]["canary one"], json!(3));
    assert_ne!(made.header("etag"), moved.header("etag"));

    let seen = format!("if-match: {}", made.header("etag").unwrap());
    assert_eq!(api.send("DELETE", &canary, &[&seen], "").await.error().0, 412);
    let removed = api.send("DELETE", &canary, &[], "").await;
    assert_eq!(removed.json(), json!({"labels": {"blue": 1, "green": 2}}));
    let (status, message) = api.send("DELETE", &canary, &[], "").await.error();
    assert_eq!((status, &*message), (404, "no label 'canary one', the labels are: blue, green"));
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_unloaded_and_loaded_and_answered_with_what_became_of_them() {
    let api = Api::start().await;
    let states = |answer: &Answer| {
        let document = answer.json();
        let versions = document["versions"].as_array().unwrap().iter();
        versions.map(|version| version["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let unloaded = api.post(&format!("{MODEL}/unload")).await;
    assert_eq!((unloaded.status, states(&unloaded)), (200, vec!["unloaded".to_owned(); 3]));
    assert_eq!(unloaded.json()["versions"][0]["reason"], json!("unloaded"));
    let (status, message) = api.post(&format!("{MODEL}/load")).await.error();
    assert_eq!((status, &*message), (400, "failed to load 'digits', version 3: as it says"));
    api.site.write("digits/3/model.onnx", "mended");
    let loaded = api.post(&format!("{MODEL}/load")).await;
    assert_eq!((loaded.status, states(&loaded)), (200, vec!["ready".to_owned(); 3]));
    for verb in ["load", "unload"] {
        let (status, message) = api.post(&format!("/admin/v1/models/dogits/{verb}")).await.error();
        assert_eq!(status, 404);
        assert!(message.starts_with(&format!("failed to {verb} 'dogits', no such model")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_json_and_names_the_fault() {
    let api = Api::start().await;
    let label = format!("{MODEL}/labels/blue");
    let number = format!("{MODEL}/labels/7");
    let unknown = "/admin/v1/models/dogits";
    let large = format!("{{\"weights\": {{{}}}}}", " ".repeat(64 * 1024));
    for (method, path, body, status, expected) in [
        ("GET", "/admin/v2", "", 404, "unknown path /admin/v2, GET / lists the paths"),
        ("GET", unknown, "", 404, "no model 'dogits', the models are: digits"),
        ("GET", "/admin/v1/models/dogits/weights", "", 404, "no model 'dogits'"),
        ("PUT", "/admin/v1/models/dogits/weights", r#"{"weights":{"1":1}}"#, 404, "no model"),
        ("GET", "/admin/v1/models/%FF", "", 400, "Invalid URL: Invalid UTF-8"),
        ("POST", "/admin/v1/models", "", 405, "POST is not offered on /admin/v1/models"),
        ("DELETE", WEIGHTS, "", 405, "DELETE is not offered"),
        ("GET", &label, "", 405, "GET is not offered"),
        ("PUT", WEIGHTS, "", 400, "expected {\"weights\": {"),
        ("PUT", WEIGHTS, r#"{"weights": {"7": 1}}"#, 400, "unknown version or label '7'"),
        ("PUT", WEIGHTS, r#"{"weights": {"1": 0}}"#, 400, "at least one weight must be above 0"),
        ("PUT", WEIGHTS, &large, 413, "Failed to buffer the request body"),
        ("PUT", &label, "{}", 400, "expected {\"version\": <positive integer>}"),
        ("PUT", &label, r#"{"version": 0}"#, 400, "expected {\"version\": <positive integer>}"),
        ("PUT", &label, r#"{"version": 9}"#, 400, "label 'blue': no version 9, the versions are 1"),
        ("PUT", &number, r#"{"version": 1}"#, 400, "label '7' must not be a number"),
    ] {
        let (found, message) = api.send(method, path, &[], body).await.error();
        assert_eq!(found, status, "{method} {path}: {message}");
        assert!(message.starts_with(expected), "{method} {path}: {message}");
    }
    assert_eq!(api.opened.effective("digits"), [(2, 1)]);
    let allowed = api.send("DELETE", WEIGHTS, &[], "").await;
    assert_eq!(allowed.header("allow"), Some("GET,HEAD,PUT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_elsewhere_may_not_move_traffic() {
    let api = Api::start().await;
    let body = r#"{"weights": {"1": 1}}"#;
    for origin in ["origin: http://evil.example", "origin: null"] {
        let unload = api.send("POST", &format!("{MODEL}/unload"), &[origin], "").await;
        assert_eq!(unload.error().0, 403);
        assert_eq!(api.send("PUT", WEIGHTS, &[origin], body).await.error().0, 403);
        assert_eq!(api.send("GET", WEIGHTS, &[origin], "").await.status, 200);
    }
    let own = format!("origin: http://{}", api.address);
    assert_eq!(api.send("PUT", WEIGHTS, &[&own], body).await.status, 200);
}

const KEYS: &str = "ops 0123456789abcdef-ops admin\nscraper 0123456789abcdef-scraper metrics\n";
const OPS: &str = "x-api-key: 0123456789abcdef-ops";
const SCRAPER: &str = "authorization: Bearer 0123456789abcdef-scraper";
const STRANGER: &str = "x-api-key: 0123456789abcdef-stranger";

#[tokio::test(flavor = "multi_thread")]
async fn every_path_but_probes_and_the_list_of_paths_needs_a_key_with_its_scope() {
    let api = Api::guarded(Some(KEYS)).await;
    for path in ["/", "/livez", "/readyz", "/openapi.json"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
        assert_eq!(api.send("GET", path, &[STRANGER], "").await.status, 200, "{path}");
    }
    for (method, path, good, bad) in [
        ("GET", "/metrics", SCRAPER, OPS),
        ("GET", "/admin/v1/models", OPS, SCRAPER),
        ("GET", MODEL, OPS, SCRAPER),
        ("GET", WEIGHTS, OPS, SCRAPER),
        ("PUT", WEIGHTS, OPS, SCRAPER),
        ("POST", "/admin/v1/models/digits/load", OPS, SCRAPER),
        ("POST", "/admin/v1/models/digits/unload", OPS, SCRAPER),
        ("PUT", "/admin/v1/models/digits/labels/blue", OPS, SCRAPER),
        ("DELETE", "/admin/v1/models/digits/labels/blue", OPS, SCRAPER),
        ("GET", "/nowhere", OPS, SCRAPER),
        ("GET", "/livez/", OPS, SCRAPER),
        ("GET", "/%6Civez", OPS, SCRAPER),
        ("PATCH", WEIGHTS, OPS, SCRAPER),
    ] {
        for nobody in [&[][..], &[STRANGER], &[OPS, OPS], &[OPS, SCRAPER]] {
            let refused = api.send(method, path, nobody, "").await;
            assert_eq!(refused.status, 401, "{method} {path} {nobody:?}");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{path}");
            refused.error();
        }
        let (status, message) = api.send(method, path, &[bad], "").await.error();
        assert_eq!(status, 403, "{method} {path}");
        assert!(message.starts_with("API key '") && message.contains("lacks the scope"));
        let let_in = api.send(method, path, &[good], "").await.status;
        assert!(![401, 403].contains(&let_in), "{method} {path}: {let_in}");
    }
    let page = api.send("GET", "/metrics", &[SCRAPER], "").await.body;
    let denied =
        r#"tidegate_api_key_requests_total{key="scraper",port="admin",outcome="denied"} 12"#;
    assert!(page.contains(denied), "{page}");
    assert!(!page.contains("0123456789abcdef"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_says_what_needs_a_key() {
    let api = Api::guarded(Some(KEYS)).await;
    let document = api.get("/openapi.json").await.json();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let filled = path.replace("{model}", "digits").replace("{label}", "blue");
        let operations = item.as_object().expect("operations").iter();
        for (method, operation) in operations.filter(|(method, _)| *method != "parameters") {
            let needs_one = api.send(&method.to_uppercase(), &filled, &[], "").await.status == 401;
            let responses = &operation["responses"];
            let refused = ["401", "403"].map(|status| responses.get(status).is_some());
            assert_eq!(refused, [needs_one; 2], "{method} {path}");
            assert_eq!(operation["security"] == json!([]), !needs_one, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_elsewhere_may_not_move_traffic_with_a_key_either() {
    let api = Api::guarded(Some(KEYS)).await;
    let headers = [OPS, "origin: http://evil.example"];
    let refused = api.send("PUT", WEIGHTS, &headers, r#"{"weights": {"1": 1}}"#).await;
    assert_eq!(refused.error().0, 403);
}

#[tokio::test]
async fn a_change_is_logged_with_the_name_of_its_key_and_never_with_the_key() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
    let here = tracing::Dispatch::new(subscriber);
    let _guard = tracing::dispatcher::set_default(&here);
    let api = Api::guarded(Some(KEYS)).await;
    let unload = api.send("POST", &format!("{MODEL}/unload"), &[OPS], "").await;
    assert_eq!(unload.status, 200);
    let text = log.text();
    let asked = text.lines().find(|line| line.contains("a change was asked for")).expect(&text);
    assert!(asked.contains("\"by\":\"ops (127.0.0.1:"), "{asked}");
    assert!(asked.contains("\"what\":\"unload of digits\""), "{asked}");
    assert!(!text.contains("0123456789abcdef"), "{text}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_the_scrape_answer() {
    let api = Api::start().await;
    assert_eq!(api.get("/livez").await.status, 200);
    assert_eq!(api.get("/readyz").await.status, 200);
    api.ready.store(false, Ordering::Relaxed);
    let ready = api.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.json()),
        (503, json!({"ready": false, "reason": "as the test says"}))
    );
    let metrics = api.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some(tidegate_telemetry::CONTENT_TYPE));
    assert!(metrics.body.contains("tidegate_route_weight{"), "{}", metrics.body);
    assert!(api.get("/").await.json()["paths"]["/metrics"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_told_though_a_connection_is_kept() {
    let api = Api::start().await;
    let mut idle = TcpStream::connect(api.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 64];
    assert!(idle.read(&mut some).await.unwrap() > 0);
    api.stop.send(()).unwrap();
    api.server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_is_given_up() {
    let api = Api::start().await;
    let mut slow = TcpStream::connect(api.address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nhos").await.unwrap();
    let mut answer = Vec::new();
    // The clock is paused and runs ahead when nothing else happens. A connection that is kept would
    // never end the read; whether it ends with an answer or a reset is the other side's affair.
    let _ = slow.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_has_every_path_and_every_method_and_no_others() {
    let api = Api::start().await;
    let document = api.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.json();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let documented = document["paths"].as_object().expect("paths");
    let listed = super::paths().map(|(path, ..)| path.to_owned());
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), BTreeSet::from(listed));
    for (path, item) in documented {
        let path = path.replace("{model}", "digits").replace("{label}", "blue");
        let allow = api.send("TRACE", &path, &[], "").await;
        assert_eq!(allow.status, 405, "{path}");
        let offered = allow.header("allow").expect("the methods").split(',');
        let offered: BTreeSet<String> = offered.map(str::to_ascii_lowercase).collect();
        let methods =
            ["get", "put", "post", "delete"].into_iter().filter(|m| item.get(m).is_some());
        let head = item.get("get").map(|_| "head");
        assert_eq!(offered, methods.chain(head).map(str::to_owned).collect(), "{path}");
    }
}
