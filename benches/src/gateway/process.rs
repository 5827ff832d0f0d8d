//! The gateway as a process of its own, so that the system tells its CPU time from the generator's. Dropped, it is stopped.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Result;

/// For a gateway to load its models, and for a process to leave after SIGTERM.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

pub struct Process(Child);

impl Process {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    fn ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let id = libc::pid_t::try_from(self.0.id()).expect("Linux has no larger process ids");
        // SAFETY: a plain system call. The child has not been waited for, so the id is still its own.
        unsafe { libc::kill(id, libc::SIGTERM) };
        let patience = Instant::now() + STOP;
        while matches!(self.ended(), Ok(false)) && Instant::now() < patience {
            sleep(POLL);
        }
        // Both fail when it has ended, which is what they are for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The real gateway on one repository.
pub struct Gateway {
    pub process: Process,
    pub data: SocketAddr,
    /// Its state, log and ports file; goes when it has ended (fields drop in this order).
    _folder: TempDir,
}

impl Gateway {
    /// With its defaults. Returns when it listens.
    pub fn start(program: &Path, repository: &Path) -> Result<Self> {
        Self::configured(program, repository, "")
    }

    /// With a configuration file of this text. Returns when it listens.
    pub fn configured(program: &Path, repository: &Path, configuration: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let (ports, log) = (folder.path().join("ports.json"), folder.path().join("log"));
        let file = folder.path().join("tidegate.toml");
        fs::write(&file, configuration)?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .args(["--data-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"])
            .arg("--model-repository")
            .arg(repository)
            .arg("--state")
            .arg(folder.path().join("state"))
            .arg("--ports-file")
            .arg(&ports)
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut process = Process(child);
        let patience = Instant::now() + START;
        while !ports.exists() {
            if process.ended()? || Instant::now() > patience {
                return Err(format!("no gateway; its log:\n{}", fs::read_to_string(log)?).into());
            }
            sleep(POLL);
        }
        let addresses: Value = serde_json::from_slice(&fs::read(&ports)?)?;
        let data = addresses["data"].as_str().ok_or("the gateway does not say its address")?;
        Ok(Self { data: data.parse()?, process, _folder: folder })
    }
}
