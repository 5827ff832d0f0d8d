//! A load: who is asked, what, when, and how its clients behave. Plain values; the engine does the asking.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::arrivals::Pattern;
use crate::question::{Question, Wire};

/// One stream of requests. Several may run at once.
#[derive(Clone)]
pub struct Load {
    /// How reports call it.
    pub name: String,
    /// What reports say is asked: the target as it was given.
    pub target: String,
    /// Taken in turn by connections as they are opened; those that are not ready are passed over.
    pub endpoints: Arc<[Endpoint]>,
    pub transport: Transport,
    pub wire: Arc<dyn Wire>,
    /// Asked in turn. Never empty.
    pub questions: Arc<[Question]>,
    pub arrivals: Arrivals,
    /// Into the drive, when this load starts.
    pub start: Duration,
    /// At the head of the load: requests are sent, and not recorded.
    pub warm_up: Duration,
    /// Recorded time, after the warm-up.
    pub duration: Duration,
    /// Requests at most, warm-up included: every run is bounded in count and in time.
    pub max_requests: u64,
    /// Connections at most, over all threads. Requests that find none free wait, and their wait counts.
    pub connections: usize,
    /// From the intended send time to the last byte of the answer.
    pub timeout: Duration,
    pub behaviour: Behaviour,
    /// Goodput counts right answers within this, from the intended send time.
    pub slo: Option<Duration>,
    /// Parts of the drive, by its clock, that are told apart besides: what was due in them.
    pub windows: Vec<Range<Duration>>,
}

/// How a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1, one request at a time on a connection.
    Http1,
    /// HTTP/2 with prior knowledge (gRPC), at most so many requests at a time on a connection.
    Http2 { streams: usize },
}

/// When requests are due.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// On a schedule of their own, whatever the answers do. Latency counts from the intended time.
    Open(Pattern),
    /// Each caller asks again when it has its answer. For throughput ceilings: a slow server slows its callers down, so
    /// latencies say nothing about a given rate.
    Closed { callers: usize },
}

/// What a client does beside asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Normal,
    /// Sends the body piece by piece over this time.
    SlowToSend(Duration),
    /// Reads nothing of the answer for this time after it was sent.
    SlowToRead(Duration),
    /// Hangs up so long after sending, answered or not.
    HangsUp {
        after: Duration,
    },
}

/// One network address of the server under load.
#[derive(Clone)]
pub struct Endpoint {
    /// Host and port, for the `host` header and for reports.
    pub authority: String,
    pub dial: Arc<dyn Dial>,
    ready: Arc<AtomicBool>,
}

impl Endpoint {
    pub fn tcp(address: SocketAddr) -> Self {
        Self::new(address.to_string(), Arc::new(Tcp(address)))
    }

    pub fn new(authority: String, dial: Arc<dyn Dial>) -> Self {
        Self { authority, dial, ready: Arc::new(AtomicBool::new(true)) }
    }

    /// Takes the endpoint in or out of the rotation, as a cluster's service does by its readiness.
    pub fn set_ready(&self, ready: bool) {
        // Relaxed: a hint that guards no other memory.
        self.ready.store(ready, Ordering::Relaxed);
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("authority", &self.authority)
            .field("ready", &self.is_ready())
            .finish()
    }
}

/// Opens connections. Tests dial memory instead of a socket, so that made-up time can pass.
pub trait Dial: Send + Sync {
    fn dial(&self) -> Dialing;
}

pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

struct Tcp(SocketAddr);

impl Dial for Tcp {
    fn dial(&self) -> Dialing {
        let address = self.0;
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            // A request is one write; waiting for company would only add to its latency.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}
