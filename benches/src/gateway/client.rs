//! The load: callers in a closed loop, each with one keep-alive connection and one request at a time.
//!
//! It knows just enough HTTP/1.1 for servers that state a content length, and asks prepared bytes,
//! because it shares the machine's cores with the server that it measures.
//!
//! A closed loop finds the throughput at a given number of callers. Its latencies are those of that
//! loop and no others: a server that stalls is asked less, so stalls weigh little in them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Result;

/// A head longer than this is not one of our servers'.
const MAX_HEAD: usize = 16 * 1024;

/// Far above what any request here takes, so that a server that hangs ends the benchmark.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a caller asks, and which answers it takes.
pub trait Ask: Send + Sync + 'static {
    /// A whole HTTP request.
    fn request(&self) -> &[u8];

    /// Whether the body of a 200 is the right answer.
    fn accepts(&self, body: &[u8]) -> bool;
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(MAX_HEAD) })
    }

    /// Sends a request and waits for the whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.received.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            self.receive().await?;
            if let Some(head) = Head::parse(&self.received)? {
                break head;
            }
        };
        while self.received.len() < head.length + head.body {
            self.receive().await?;
        }
        let body = &self.received[head.length..head.length + head.body];
        Ok(Answer { status: head.status, body })
    }

    async fn receive(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err("the server closed the connection within an answer".into()),
            _ => Ok(()),
        }
    }
}

struct Head {
    status: u16,
    length: usize,
    /// Bytes of the body.
    body: usize,
}

impl Head {
    /// `None` when its end has not arrived yet.
    fn parse(received: &[u8]) -> Result<Option<Self>> {
        let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return match received.len() {
                0..MAX_HEAD => Ok(None),
                _ => Err("the head of an answer does not end".into()),
            };
        };
        let text = std::str::from_utf8(&received[..end])?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let body = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim())
        });
        match (status.map(str::parse), body.map(str::parse)) {
            (Some(Ok(status)), Some(Ok(body))) => Ok(Some(Self { status, length: end + 4, body })),
            _ => Err(format!("expected a status and a content length, got {text:?}").into()),
        }
    }
}

/// What the callers of one round saw.
pub struct Load {
    pub latencies: Vec<Duration>,
    /// From the first request to the last answer.
    pub wall: Duration,
}

/// Lets `callers` callers ask for `time`. What the time finds unanswered is answered, and counts.
///
/// # Errors
/// On the first answer that is not right.
pub async fn closed_loop<A: Ask>(
    address: SocketAddr,
    callers: usize,
    questions: &Arc<[A]>,
    time: Duration,
) -> Result<Load> {
    let mut connections = Vec::with_capacity(callers);
    for _ in 0..callers {
        let mut connection = Connection::open(address).await?;
        // The first answer also pays for the connection's own setup on the server.
        check(&questions[0], &connection.ask(questions[0].request()).await?)?;
        connections.push(connection);
    }
    let start = Instant::now();
    let mut tasks: JoinSet<Result<Vec<Duration>>> = connections
        .into_iter()
        .enumerate()
        .map(|(caller, connection)| {
            tokio::time::timeout(
                time + PATIENCE,
                ask(connection, Arc::clone(questions), caller, start + time),
            )
        })
        .map(|asking| async move { asking.await? })
        .collect();
    let mut latencies = Vec::new();
    while let Some(caller) = tasks.join_next().await {
        latencies.extend(caller??);
    }
    Ok(Load { latencies, wall: start.elapsed() })
}

/// One caller. Each begins with another question, so that neighbours in a batch differ.
async fn ask<A: Ask>(
    mut connection: Connection,
    questions: Arc<[A]>,
    caller: usize,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut sent = Instant::now();
    for question in questions.iter().cycle().skip(caller % questions.len()) {
        if sent >= until {
            break;
        }
        let answer = connection.ask(question.request()).await?;
        let received = Instant::now();
        check(question, &answer)?;
        latencies.push(received - sent);
        sent = Instant::now();
    }
    Ok(latencies)
}

fn check<A: Ask>(question: &A, answer: &Answer<'_>) -> Result<()> {
    if answer.status == 200 && question.accepts(answer.body) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(&answer.body[..answer.body.len().min(400)]);
    Err(format!("expected another answer than this, of status {}: {shown}", answer.status).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_and_lengths() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\n\r\n{}";
        let head = Head::parse(head).unwrap().unwrap();
        assert_eq!((head.status, head.length, head.body), (503, 56, 12));
    }

    #[test]
    fn an_unfinished_head_is_waited_for_and_an_endless_one_is_not() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\ncontent-").unwrap().is_none());
        assert!(Head::parse(&[b'x'; MAX_HEAD]).is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "no content length");
    }
}
