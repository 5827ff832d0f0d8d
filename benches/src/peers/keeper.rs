//! The keeper stands between the benchmark and one server, as a process of its own, for one purpose:
//! whatever happens to the benchmark, nothing of the server is left.
//!
//! Its stdin is a pipe from the benchmark. When that ends (the benchmark dropped it, was interrupted,
//! or was killed), the whole family is told to leave and, if it stays, made to. The keeper adopts
//! orphans, so a process that forked away from its parent is found too.
//!
//! It begins a session of its own. A Ctrl-C in the terminal then reaches the benchmark alone; and in
//! the benchmark's session its death would orphan the keeper's process group, to which the system
//! sends SIGHUP if a member stands still, as most servers here do: the keeper would die of it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitOptions, getpid, setsid, wait};

use super::family::Family;
use crate::Result;

/// For servers to leave after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Removed at the end, unless the server ends by itself: then its log is of interest
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// The server and its arguments
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

pub fn run(options: &Options) -> Result<()> {
    let [program, arguments @ ..] = &options.command[..] else {
        return Err("expected a program".into());
    };
    setsid()?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(getpid()))?;
    let server = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let family = Family::of(getpid());
    let folder = options.folder.clone();
    let leaving = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&leaving);
    let end = std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        told.store(true, Ordering::SeqCst);
        dismiss(family);
        let _ = fs::remove_dir_all(folder);
        std::process::exit(0);
    });
    let status = reap_until(server.id())?;
    if leaving.load(Ordering::SeqCst) {
        // It was told to, and the thread that told it still has to tidy up. It ends this process.
        let _ = end.join();
    }
    dismiss(family);
    Err(format!("the server ended by itself: {status}").into())
}

/// Waits for every child there is, adopted ones too, until the server itself has ended.
fn reap_until(server: u32) -> Result<String> {
    loop {
        let Some((pid, status)) = wait(WaitOptions::empty())? else { continue };
        if u32::try_from(pid.as_raw_nonzero().get()) == Ok(server) {
            return Ok(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "for no reason that the system knows".to_owned(),
            });
        }
    }
}

fn dismiss(family: Family) {
    // A process that stands still cannot leave.
    for signal in [Signal::TERM, Signal::CONT] {
        let _ = family.send(signal);
    }
    let patience = Instant::now() + GRACE;
    while matches!(family.is_alive(), Ok(true)) {
        if Instant::now() > patience {
            let _ = family.send(Signal::KILL);
        }
        sleep(POLL);
    }
}
