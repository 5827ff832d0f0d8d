//! A server whose answers are known beforehand: each comes a scripted time after its request was read, to the accuracy
//! with which the system wakes a thread (some 60 us late).
//!
//! A thread for each connection and no runtime, because runtimes count time in milliseconds, and two per cent of 20 ms is
//! less than one. It is a process of its own, and ends when its stdin does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Bytes of a request's head and of its body at most; nothing here asks more.
const MOST_HEAD: u64 = 16 * 1024;
const MOST_BODY: usize = 1 << 20;
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
/// Length of the answer's body.
pub const ANSWER_LENGTH: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Script {
    /// Milliseconds that every request takes
    #[arg(long)]
    pub service_ms: u64,
    /// Milliseconds, at the beginning of each period, in which nothing is answered
    #[arg(long, default_value_t = 0)]
    pub stall_ms: u64,
    /// Milliseconds of a period
    #[arg(long, default_value_t = 1)]
    pub period_ms: u64,
}

impl Script {
    /// When a request is answered that came so long after the first one.
    fn answer_at(&self, came: Duration) -> Duration {
        let (service, stall) =
            (Duration::from_millis(self.service_ms), Duration::from_millis(self.stall_ms));
        let period = Duration::from_millis(self.period_ms.max(1));
        let into_period = Duration::from_nanos((came.as_nanos() % period.as_nanos()) as u64);
        (came + stall.saturating_sub(into_period)).max(came + service)
    }
}

/// Serves until stdin ends.
pub fn run(script: Script) -> Result<()> {
    thread::spawn(|| {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(i32::from(ended.is_err()));
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let start = Instant::now();
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        // A client that hangs up is how every connection here ends.
        thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || drop(connection(stream, script, start)))?;
    }
}

fn connection(mut stream: TcpStream, script: Script, start: Instant) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while read_request(&mut reader)? {
        let answer_at = start + script.answer_at(start.elapsed());
        wait_until(answer_at);
        stream.write_all(ANSWER)?;
    }
    Ok(())
}

/// A thread that sleeps wakes up some tenths of a millisecond late, which is more than what is to be shown: the last of it
/// is spent awake.
fn wait_until(instant: Instant) {
    const AWAKE: Duration = Duration::from_millis(1);
    let asleep = instant.checked_sub(AWAKE).unwrap_or(instant);
    thread::sleep(asleep.saturating_duration_since(Instant::now()));
    while Instant::now() < instant {
        std::hint::spin_loop();
    }
}

/// Reads a whole request; false when there is none any more.
fn read_request(reader: &mut impl BufRead) -> Result<bool> {
    let mut body = 0;
    let mut line = String::new();
    let mut head = reader.by_ref().take(MOST_HEAD);
    let mut lines = 0;
    while head.read_line(&mut line)? > 0 {
        if line.trim_end().is_empty() {
            let mut bytes = vec![0; body];
            reader.read_exact(&mut bytes)?;
            return Ok(true);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body = value.trim().parse().ok().filter(|body| *body <= MOST_BODY).ok_or("length")?;
        }
        lines += 1;
        line.clear();
    }
    if lines == 0 { Ok(false) } else { Err("the head of a request does not end".into()) }
}

/// The server as a child of this process. Dropped, it is stopped.
pub struct Scripted {
    pub address: SocketAddr,
    child: Child,
    /// It ends when this closes.
    _stdin: Option<ChildStdin>,
}

impl Scripted {
    pub fn start(script: Script) -> Result<Self> {
        let Script { service_ms, stall_ms, period_ms } = script;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("scripted")
            .args(["--service-ms", &service_ms.to_string()])
            .args(["--stall-ms", &stall_ms.to_string()])
            .args(["--period-ms", &period_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut server = Self { address: ([0, 0, 0, 0], 0).into(), child, _stdin: stdin };
        let mut line = String::new();
        BufReader::new(stdout.ok_or("stdout is a pipe")?).read_line(&mut line)?;
        server.address = line.trim().parse().map_err(|_| "the scripted server did not start")?;
        Ok(server)
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // It holds nothing that could be lost; both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_constant_script_takes_the_same_time_whenever_it_is_asked() {
        let script = Script { service_ms: 20, stall_ms: 0, period_ms: 1 };
        assert_eq!(script.answer_at(Duration::ZERO), MS * 20);
        assert_eq!(script.answer_at(MS * 12_345), MS * 12_365);
    }

    #[test]
    fn a_stall_holds_back_what_comes_within_it_and_nothing_else() {
        let script = Script { service_ms: 2, stall_ms: 1000, period_ms: 10_000 };
        assert_eq!(script.answer_at(MS * 20_100), MS * 21_000);
        assert_eq!(script.answer_at(MS * 20_999), MS * 21_001);
        assert_eq!(script.answer_at(MS * 21_500), MS * 21_502);
    }

    #[test]
    fn a_request_is_read_to_its_end_and_an_endless_head_is_refused() {
        let mut two: &[u8] =
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
        assert!(read_request(&mut two).unwrap());
        assert!(read_request(&mut two).unwrap());
        assert!(!read_request(&mut two).unwrap());
        assert!(read_request(&mut &b"POST / HTTP/1.1\r\n"[..]).is_err());
        assert!(read_request(&mut &b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"[..]).is_err());
        let endless = vec![b'x'; 64 * 1024];
        assert!(read_request(&mut &endless[..]).is_err());
    }
}
