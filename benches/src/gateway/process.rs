//! Servers as processes of their own, so that the system tells their CPU time from the client's.
//! Dropped, they are stopped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Result;

/// For a gateway to load its models, and for a process to leave after SIGTERM.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// The unit of times in /proc, the same on every Linux whatever its timer's rate.
const TICKS_PER_SECOND: f64 = 100.0;

pub struct Process(Child);

impl Process {
    /// User and system time of all its threads so far.
    pub fn cpu_time(&self) -> Result<Duration> {
        cpu_time(&self.0.id().to_string())
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

/// This process's user and system time so far.
pub fn own_cpu_time() -> Result<Duration> {
    cpu_time("self")
}

fn cpu_time(process: &str) -> Result<Duration> {
    parse_cpu_time(&fs::read_to_string(format!("/proc/{process}/stat"))?)
        .ok_or_else(|| "/proc/<pid>/stat is not as proc(5) says".into())
}

fn parse_cpu_time(stat: &str) -> Option<Duration> {
    // The name, in brackets, may contain anything; after it, utime and stime are the 12th and 13th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_secs_f64((user + system) as f64 / TICKS_PER_SECOND))
}

/// The real gateway on one repository, with its defaults otherwise.
pub struct Gateway {
    pub process: Process,
    pub data: SocketAddr,
    pub admin: SocketAddr,
    /// Its state, log and ports file; goes when it has ended (fields drop in this order).
    _folder: TempDir,
}

impl Gateway {
    /// Returns when it listens.
    pub fn start(program: &Path, repository: &Path) -> Result<Self> {
        let folder = TempDir::new()?;
        let (ports, log) = (folder.path().join("ports.json"), folder.path().join("log"));
        let child = Command::new(program)
            .arg("serve")
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
        let address = |name: &str| -> Result<SocketAddr> {
            Ok(addresses[name].as_str().ok_or("an address is missing")?.parse()?)
        };
        Ok(Self { data: address("data")?, admin: address("admin")?, process, _folder: folder })
    }
}

/// The bare server of this program.
pub struct Bare {
    pub process: Process,
    pub address: SocketAddr,
    /// It ends when this closes.
    _stdin: ChildStdin,
}

impl Bare {
    pub fn start(answer_size: usize, threads: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("bare")
            .args(["--answer-size", &answer_size.to_string(), "--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let process = Process(child);
        let mut line = String::new();
        BufReader::new(stdout.ok_or("stdout is a pipe")?).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| "the bare server did not start")?;
        Ok(Self { process, address, _stdin: stdin.ok_or("stdin is a pipe")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 9 9 9";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(2)));
        assert!(own_cpu_time().is_ok());
    }
}
