//! A gateway of ours as a child process: started on free ports, told to leave, started again.
//!
//! It gets an environment without anything that would configure it, so that a scenario means the same everywhere. Where it
//! writes its log stays in the scenario's folder until the end, and its last lines are in the error when it does not start.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};

use super::plan::GatewayPlan;
use crate::Failure;
use crate::engine::once;
use crate::load::{Endpoint, Transport};
use crate::question::Prepared;

/// Models may be large, machines busy.
const START: Duration = Duration::from_secs(120);
/// The gateway's own grace period and the end of its last run come before this.
const LEAVE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(20);
const ANSWER: Duration = Duration::from_secs(2);

pub struct Process {
    pub plan: GatewayPlan,
    binary: PathBuf,
    /// Its own: repository of links, state, ports, log.
    folder: PathBuf,
    child: Child,
    pub data: SocketAddr,
    pub admin: SocketAddr,
}

impl Process {
    /// Returns when it is ready.
    ///
    /// # Errors
    /// When it does not get ready, with what it said last.
    pub fn start(plan: &GatewayPlan, binary: &Path, folder: &Path) -> Result<Self, Failure> {
        let folder = folder.join(&plan.name);
        let started = fs::create_dir_all(&folder)
            .map_err(Failure::from)
            .and_then(|()| link_models(plan, &folder))
            .and_then(|()| run(plan, binary, &folder));
        let (child, data, admin) =
            started.map_err(|error| error.within(format!("gateway {}", plan.name)))?;
        let (plan, binary) = (plan.clone(), binary.to_owned());
        Ok(Self { plan, binary, folder, child, data, admin })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and waits until it has left.
    ///
    /// # Errors
    /// When it does not leave; it is ended then.
    pub fn leave(&mut self) -> Result<ExitStatus, Failure> {
        let deadline = Instant::now() + LEAVE;
        terminate(&self.child)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
                let name = &self.plan.name;
                return Err(
                    format!("gateway {name} had not left after {LEAVE:?}, and was killed").into()
                );
            }
            sleep(GLANCE);
        }
    }

    /// Starts it again after it has left: with the same state, on other ports.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_again(&mut self) -> Result<(), Failure> {
        let (child, data, admin) = run(&self.plan, &self.binary, &self.folder)
            .map_err(|error| error.within(format!("gateway {}", self.plan.name)))?;
        (self.child, self.data, self.admin) = (child, data, admin);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has left, or is ended now; both are well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One repository out of folders from anywhere.
fn link_models(plan: &GatewayPlan, folder: &Path) -> Result<(), Failure> {
    for model in &plan.models {
        let path = model.canonicalize().map_err(|error| {
            Failure::new(format!(
                "no model at {}: {error}; the benchmark models are made by `make bench-models`",
                model.display()
            ))
        })?;
        let name = path.file_name().ok_or("the root is no model")?;
        let repository = folder.join("repository");
        fs::create_dir_all(&repository)?;
        std::os::unix::fs::symlink(&path, repository.join(name))
            .map_err(|error| Failure::from(error).within(path.display()))?;
    }
    Ok(())
}

type Started = (Child, SocketAddr, SocketAddr);

fn run(plan: &GatewayPlan, binary: &Path, folder: &Path) -> Result<Started, Failure> {
    let (ports, log) = (folder.join("ports.json"), folder.join("log"));
    // Those of the process before.
    let _ = fs::remove_file(&ports);
    let mut command = command(plan, binary, folder);
    command.arg("--ports-file").arg(&ports);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::options().create(true).append(true).open(&log)?);
    let mut child =
        command.spawn().map_err(|error| Failure::from(error).within(binary.display()))?;
    match until_ready(&mut child, &ports) {
        Ok((data, admin)) => Ok((child, data, admin)),
        Err(error) => {
            // Either may fail because it has ended already.
            let _ = child.kill();
            let _ = child.wait();
            Err(Failure::new(format!("{error}{}", last_words(&log))))
        }
    }
}

fn command(plan: &GatewayPlan, binary: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let configures = ["TIDEGATE_", "MODEL_"].iter().any(|start| text.starts_with(start));
        if configures || text.ends_with("BATCH_SIZE") {
            command.env_remove(name);
        }
    }
    command.arg("serve");
    if let Some(config) = &plan.config {
        command.arg("--config").arg(config);
    }
    if !plan.models.is_empty() {
        command.arg("--model-repository").arg(folder.join("repository"));
    }
    command.args(["--data-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]);
    command.arg("--state").arg(folder.join("state"));
    command.args(&plan.arguments);
    command
}

fn until_ready(child: &mut Child, ports: &Path) -> Result<(SocketAddr, SocketAddr), Failure> {
    let deadline = Instant::now() + START;
    let mut addresses = None;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Err(format!("it ended before it was ready: {status}").into());
        }
        // Written at once and whole: a file that is there can be read.
        if addresses.is_none()
            && let Ok(text) = fs::read_to_string(ports)
        {
            addresses = Some(parse(&text).ok_or("its ports file names no two addresses")?);
        }
        if let Some((data, admin)) = addresses
            && is_ready(data)
        {
            return Ok((data, admin));
        }
        sleep(GLANCE);
    }
    Err(format!("it was not ready after {START:?}").into())
}

fn parse(text: &str) -> Option<(SocketAddr, SocketAddr)> {
    let ports: serde_json::Value = serde_json::from_str(text).ok()?;
    let address = |port: &str| ports[port].as_str()?.parse().ok();
    Some((address("data")?, address("admin")?))
}

/// What a cluster's probe would find.
pub fn is_ready(data: SocketAddr) -> bool {
    let probe = Prepared {
        path: "/v2/health/ready".to_owned(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    let answer = once(&Endpoint::tcp(data), Transport::Http1, Method::GET, &probe, ANSWER);
    answer.is_ok_and(|answer| answer.status == http::StatusCode::OK)
}

fn terminate(child: &Child) -> Result<(), Failure> {
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let id = id.ok_or("a process without an id")?;
    rustix::process::kill_process(id, rustix::process::Signal::TERM)
        .map_err(|error| Failure::new(format!("cannot signal a gateway: {error}")))
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    if last.is_empty() { String::new() } else { format!("; it said:\n  {}", last.join("\n  ")) }
}
