//! The access log: one line for each inference request, however it ended, and never a payload.

use std::io;
use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::Value;
use tidegate_inference::{Error, ErrorKind};
use tidegate_ingress::IngressConfig;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::client::{Server, infer_body, infer_request};
use crate::mock::Behaviour;

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Everything that is logged on this thread, and on those of a server that it starts.
    pub fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub fn access(&self) -> Vec<Value> {
        let lines: Vec<Value> =
            self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let access = lines.into_iter().filter(|line| line["target"] == "tidegate::access");
        access.map(|mut line| line["fields"].take()).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn every_end_of_a_request_is_one_line() {
    let (log, _guard) = Log::capture();
    let full = Error::new(ErrorKind::Overloaded, "full");
    let failed = Error::new(ErrorKind::ModelFailed, "secret of the model");
    let models = [
        ("m", Behaviour::Echo),
        ("full", Behaviour::Refuse(full)),
        ("failing", Behaviour::Fail(failed)),
        ("slow", Behaviour::Gate(Arc::new(Semaphore::new(0)))),
    ];
    let server = Server::start(IngressConfig::default(), &models).await;
    let id = [("x-request-id", "mine")];
    server.send(Method::POST, "/v2/models/m/infer", &id, infer_body(1)).await;
    server.post("/v1/models/full:predict", "{}").await;
    server.post("/v2/models/failing/infer", infer_body(1)).await;
    let bad = [("inference-header-content-length", "x")];
    server.send(Method::POST, "/v2/models/m/infer", &bad, "").await;
    let mut stream = server.connect().await;
    stream.write_all(infer_request("slow").as_bytes()).await.unwrap();
    server.mock.until(|counts| counts.running == 3).await;
    drop(stream);
    server.get("/livez").await;
    server.stop().await;

    let lines = log.access();
    let ends: Vec<(&str, &str, &str, i64)> = lines
        .iter()
        .map(|line| {
            let word = |name: &str| line[name].as_str().unwrap_or("");
            (word("protocol"), word("model"), word("outcome"), line["status"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(
        ends,
        [
            ("http_v2_json", "m", "response", 200),
            ("http_tfs", "full", "overloaded", 429),
            ("http_v2_json", "failing", "model_failed", 500),
            ("http_v2_binary", "m", "invalid_argument", 400),
            ("http_v2_json", "slow", "caller_gone", 499),
        ]
    );
    assert_eq!((&lines[0]["request_id"], &lines[0]["version"]), (&"mine".into(), &1.into()));
    assert!(lines[0]["response_bytes"].as_u64().unwrap() > 0);
    assert!(!log.text().contains("1.5"), "no payload: {}", log.text());
}
