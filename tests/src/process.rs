//! The built `tidegate` binary as a child process on real ONNX Runtime, to be signalled and killed.
//!
//! A test waits for what the gateway says in its log instead of sleeping: the log is its account of what has
//! happened, in order, and ends when the process does.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Process {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    pub client: Client,
    data: String,
    admin: String,
}

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// `tidegate` with nothing of this process's own configuration in its environment.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let configures = ["TIDEGATE_", "MODEL_"].iter().any(|start| text.starts_with(start));
        if configures || text.ends_with("BATCH_SIZE") {
            command.env_remove(name);
        }
    }
    command
}

/// The binary that was built beside these tests: `target/debug/deps/<tests>` and `target/debug/tidegate`.
pub fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).expect("tests lie two folders deep");
    let binary = folder.join("tidegate");
    let path = binary.display();
    assert!(binary.is_file(), "no gateway at {path}: run `cargo build --workspace --bins` first");
    binary
}

/// The library: the one that ORT_DYLIB_PATH names, or the one that `make onnxruntime` has fetched. `None`
/// when there is neither: then the test is skipped, and says so.
pub fn onnxruntime() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "ORT_DYLIB_PATH names {}, which is not there", named.display());
        return Some(named);
    }
    let fetched = fetched_library();
    if fetched.is_none() {
        println!(
            "skipped: ONNX Runtime is not here; run `make onnxruntime`, or set ORT_DYLIB_PATH"
        );
    }
    fetched
}

fn fetched_library() -> Option<PathBuf> {
    let versions = std::fs::read_dir(root().join(".deps/onnxruntime")).ok()?;
    let folders = versions.flatten().filter_map(|version| std::fs::read_dir(version.path()).ok());
    folders.flatten().flatten().map(|file| file.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libonnxruntime.") && path.is_file() && !path.is_symlink()
    })
}

/// Arguments of `serve` for the demo, with its state in `folder`.
pub fn digits(folder: &Path) -> Vec<OsString> {
    let config = root().join("examples/digits/tidegate.toml");
    let mut arguments = vec!["--config".into(), config.into_os_string()];
    arguments.extend(anywhere(folder));
    arguments
}

/// Arguments of `serve` for the named test models, copied into `folder`.
pub fn fixtures(folder: &Path, models: &[&str]) -> Vec<OsString> {
    let repository = folder.join("repository");
    for model in models {
        let from = root().join("tests/fixtures/models").join(model).join("1");
        copy(&from, &repository.join(model).join("1"));
    }
    let mut arguments = vec!["--model-repository".into(), repository.into_os_string()];
    arguments.extend(anywhere(folder));
    arguments
}

/// Any port, and state in `folder`.
fn anywhere(folder: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        ["--data-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--log-level", "info"]
            .map(OsString::from)
            .into();
    arguments.extend(["--state".into(), folder.join("state").into_os_string()]);
    arguments
}

/// A folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Process {
    /// Returns when both ports listen; models may still be loading.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = lines(child.stderr.take().expect("piped above"));
        let (data, admin) = (String::new(), String::new());
        let mut process = Self { child, log, seen: Vec::new(), client: Client::new(), data, admin };
        let listening = process.until_said("listening");
        process.data = listening["data"].as_str().unwrap().to_owned();
        process.admin = listening["admin"].as_str().unwrap().to_owned();
        process
    }

    pub fn until_ready(&mut self) {
        self.until_said("ready");
    }

    /// Reads the log up to this message.
    #[track_caller]
    pub fn until_said(&mut self, message: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = match self.log.recv_timeout(deadline - Instant::now().min(deadline)) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{message:?} was not said: {}", self.said())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended before it said {message:?}: {}", self.said())
                }
            };
            let read: Option<Value> = serde_json::from_str(&line).ok();
            self.seen.push(line);
            if let Some(object) = read.filter(|object| object["message"] == message) {
                return object;
            }
        }
    }

    fn said(&self) -> String {
        self.seen.join("\n")
    }

    pub fn data_address(&self) -> &str {
        &self.data
    }

    pub fn admin_address(&self) -> &str {
        &self.admin
    }

    pub fn data(&self, path: &str) -> String {
        format!("http://{}{path}", self.data)
    }

    pub fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// At once, without a word: `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the log has ended, which it does with the process, and then for the process.
    pub fn exit(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.log.recv_timeout(deadline - Instant::now().min(deadline)) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", self.said()),
            }
        }
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

/// Read away as they come, so that the gateway never waits for whoever reads its log.
fn lines(log: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
