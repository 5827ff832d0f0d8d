//! The bare server as a child of this process. Dropped, it is stopped.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::Protocol;
use crate::Failure;

pub struct Bare {
    pub address: SocketAddr,
    child: Child,
    /// It ends when this closes.
    stdin: Option<ChildStdin>,
}

impl Bare {
    /// `program` must run this module's `run` as its subcommand `bare`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(
        program: &Path,
        protocol: Protocol,
        answer: &[u8],
        threads: NonZeroUsize,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::from(error).within(format!("the bare server ({})", program.display()))
        };
        let mut child = Command::new(program)
            .args(["bare", "--protocol", protocol.name()])
            .args(["--answer-size", &answer.len().to_string(), "--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // Made now, so that every way out of here stops the child.
        let mut bare = Self { address: ([0, 0, 0, 0], 0).into(), child, stdin: None };
        if let Some(stdin) = &mut stdin {
            stdin.write_all(answer).map_err(failed)?;
        }
        bare.stdin = stdin;
        let mut line = String::new();
        BufReader::new(stdout.ok_or("stdout is a pipe")?).read_line(&mut line).map_err(failed)?;
        bare.address = line.trim().parse().map_err(|_| {
            Failure::new(format!("the bare server said {line:?} instead of its address"))
        })?;
        Ok(bare)
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It holds nothing that could be lost; both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
