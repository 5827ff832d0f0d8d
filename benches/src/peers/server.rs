//! One contender, serving one model behind its keeper. Dropped, it is gone, with everything it started.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::contender::{Contender, Folders, Job};
use super::exchange::ask;
use super::family::Family;
use super::questions::Model;
use crate::Result;

/// For a server to answer its first question.
const START: Duration = Duration::from_secs(60);
/// For the keeper to end; longer than it gives its server.
const STOP: Duration = Duration::from_secs(15);
/// For one answer of a server that nobody else asks.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// Below the ports that systems give to outgoing connections, of which the load makes many.
const PORTS: std::ops::Range<u16> = 21_000..29_000;
/// One to serve on, and a few that some peers insist on.
const PORTS_EACH: u16 = 4;

pub struct Server {
    pub contender: Contender,
    pub address: SocketAddr,
    keeper: Child,
    /// Held open as long as the server is to live.
    stdin: Option<ChildStdin>,
    family: Family,
    folder: TempDir,
}

impl Server {
    /// Returns when it has answered a question rightly.
    ///
    /// # Errors
    /// In one sentence, for a person who wonders why this contender is missing.
    pub fn start(contender: Contender, folders: &Folders, model: &Model) -> Result<Self> {
        let folder = TempDir::new()?;
        let port = free_ports().ok_or("no free ports from 21000 to 29000")?;
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch)?;
        let job = Job { model: model.name, file: &model.file, port, folder: &scratch };
        let log = File::create(folder.path().join("log"))?;
        let mut keeper = Command::new(std::env::current_exe()?);
        keeper.arg("keep").arg("--folder").arg(folder.path());
        keeper.arg("--").args(contender.command(folders, &job)?);
        keeper.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let mut keeper = keeper.spawn()?;
        let stdin = keeper.stdin.take();
        let family = Family::of(Pid::from_child(&keeper));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self { contender, address, keeper, stdin, family, folder };
        server.wait_until_it_answers(model)?;
        Ok(server)
    }

    /// Above all of the server's processes; itself it only waits.
    pub fn root(&self) -> u32 {
        self.keeper.id()
    }

    pub fn freeze(&self) -> Result<()> {
        self.family.freeze()
    }

    pub fn thaw(&self) -> Result<()> {
        self.family.thaw()
    }

    /// Returns when what was left in its queues is done: it then answers a lone question at once.
    pub fn settle(&self, model: &Model, limit: Duration) -> Result<()> {
        let first = model.questions.first().ok_or("a model is asked something")?;
        let end = Instant::now() + limit;
        loop {
            let asked = Instant::now();
            let answer = ask(self.address, &first.request, limit);
            if answer.is_ok_and(|answer| answer.status == 200) && asked.elapsed() < PATIENCE {
                return Ok(());
            }
            if Instant::now() > end {
                let seconds = limit.as_secs();
                return Err(format!("answers no lone question {seconds} s after the load").into());
            }
            sleep(POLL);
        }
    }

    fn wait_until_it_answers(&mut self, model: &Model) -> Result<()> {
        let first = model.questions.first().ok_or("a model is asked something")?;
        let end = Instant::now() + START;
        loop {
            let last = match ask(self.address, &first.request, PATIENCE) {
                Ok(answer) if answer.status == 200 => return model.accepts(first, &answer),
                Ok(answer) => answer.status.to_string(),
                Err(error) => error.to_string(),
            };
            if self.keeper.try_wait()?.is_some() {
                return Err(format!("it does not start: {}", self.last_words()).into());
            }
            if Instant::now() > end {
                let (seconds, words) = (START.as_secs(), self.last_words());
                return Err(format!("not ready within {seconds} s ({last}): {words}").into());
            }
            sleep(POLL);
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        last_words(&String::from_utf8_lossy(&log))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let end = Instant::now() + STOP;
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < end {
            sleep(POLL);
        }
        // Nobody is left of a family whose keeper did its work.
        let _ = self.family.send(Signal::KILL);
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// The last line of a log that says anything, without the keeper's own.
fn last_words(log: &str) -> String {
    let lines = log.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with("tidegate-benches:"));
    lines
        .next_back()
        .map_or_else(|| "it said nothing".to_owned(), |line| line.chars().take(300).collect())
}

/// The first of a few in a row that nobody listens on. Whoever is started next binds them.
fn free_ports() -> Option<u16> {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    PORTS.step_by(usize::from(PORTS_EACH)).find(|first| (*first..first + PORTS_EACH).all(free))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_servers_own() {
        let log = "Traceback\n  ImportError: no libpython\n\ntidegate-benches: the server ended\n";
        assert_eq!(last_words(log), "ImportError: no libpython");
        assert_eq!(last_words(""), "it said nothing");
    }

    #[test]
    fn free_ports_are_free() {
        let first = free_ports().unwrap();
        assert!(PORTS.contains(&first));
    }
}
