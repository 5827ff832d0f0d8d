//! The process on the real engine and the demo's models: what it logs, and how it ends when it is told to.
//!
//! The log is what these tests wait on, line by line; ONNX Runtime is where `make onnxruntime` puts it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

struct Process {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    data: String,
    seen: Vec<Value>,
    _state: tempfile::TempDir,
}

impl Process {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let state = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .current_dir(&root)
            .args(["serve", "--config", "examples/digits/tidegate.toml", "--log-level", "info"])
            .args(["--data-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"])
            .arg("--state")
            .arg(state.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut process = Self { child, log, data: String::new(), seen: Vec::new(), _state: state };
        let listening = process.wait_for("listening");
        process.data = listening["data"].as_str().unwrap().to_owned();
        process
    }

    /// Reads the log up to the message. Every line has to be a JSON object.
    fn wait_for(&mut self, message: &str) -> Value {
        for line in self.log.by_ref() {
            let line = line.unwrap();
            let object: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            self.seen.push(object.clone());
            if object["message"] == message {
                return object;
            }
        }
        panic!("the log ended before {message:?}: {:#?}", self.seen);
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    fn exit_status(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.data).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        let head = format!("GET {path} HTTP/1.1\r\nhost: tidegate\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// A test that failed leaves nothing behind.
impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or is ended now; both are well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_log_tells_of_library_addresses_and_versions_and_sigterm_ends_with_status_0() {
    let mut process = Process::start();
    process.wait_for("ready");
    let loaded = process.seen.iter().filter(|line| line["state"] == "ready").count();
    assert_eq!(loaded, 3);
    assert!(process.get("/v2/health/ready").starts_with("HTTP/1.1 200"));
    process.signal("TERM");
    assert_eq!(process.wait_for("draining")["signal"], "SIGTERM");
    assert_eq!(process.wait_for("stopped")["drained"], true);
    let library = process.seen.iter().find_map(|line| line["library"].as_str());
    assert!(library.is_some_and(|path| path.contains("onnxruntime")), "{library:?}");
    assert!(process.seen.iter().any(|line| line["repository"].is_string()));
    assert_eq!(process.exit_status(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut process = Process::start();
    let mut unfinished = process.connect();
    let head =
        "POST /v2/models/digits/infer HTTP/1.1\r\nhost: tidegate\r\ncontent-length: 9\r\n\r\n{";
    unfinished.write_all(head.as_bytes()).unwrap();
    // Connections are taken in order: with this one answered, the unfinished one is inside.
    assert!(process.get("/v2/health/live").starts_with("HTTP/1.1 200"));
    process.signal("INT");
    process.wait_for("draining");
    process.signal("TERM");
    process.wait_for("told twice: leaving at once");
    assert_eq!(process.exit_status(), Some(143));
}
