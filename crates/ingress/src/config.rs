//! What may be set about the data port: limits, timeouts and switches. Units live in the types;
//! whoever composes the gateway's configuration gives every value a name there.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressConfig {
    /// Bytes of one request body, as sent and, when it is compressed, as inflated.
    pub max_body_size: usize,
    /// Bytes of one request head. Also the cap of an HTTP/2 header list.
    pub max_header_size: usize,
    /// How long a head may take to arrive.
    pub header_read_timeout: Duration,
    /// How long a body may take to arrive, counted from its head.
    pub body_read_timeout: Duration,
    /// How long a response may make no progress because the caller does not read it.
    pub write_timeout: Duration,
    /// How long a connection may stay open between two requests.
    pub idle_timeout: Duration,
    /// How long a gRPC stream of requests may stay open while nothing is asked and nothing answered.
    pub stream_idle_timeout: Duration,
    /// The longest deadline of an inference request; its caller and its model may say less.
    pub request_timeout: Duration,
    /// Further connections are answered 503 and closed.
    pub max_connections: NonZeroUsize,
    /// Arrays and objects inside one another in a JSON body.
    pub max_json_depth: usize,
    /// Readiness probes say "not ready" with Triton's 400 instead of KServe's 503.
    pub triton_compat: bool,
    /// Send the `Server-Timing` header with every answer.
    pub server_timing: bool,
    /// Callers may load, unload and reload models and change settings of the server.
    pub management: bool,
    /// Where the keys of shared memory are looked up; absent, no memory is shared.
    pub shared_memory: Option<PathBuf>,
    /// Metrics are on the data port, too.
    pub metrics: bool,
    /// Large bodies that may be decoded, inflated or encoded at the same time.
    pub decode_threads: NonZeroUsize,
}

impl Default for IngressConfig {
    fn default() -> Self {
        Self {
            max_body_size: 64 << 20,
            max_header_size: 16 << 10,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            stream_idle_timeout: Duration::from_secs(600),
            request_timeout: Duration::from_secs(30),
            max_connections: NonZeroUsize::new(10_000).expect("not zero"),
            max_json_depth: 100,
            triton_compat: false,
            server_timing: true,
            management: false,
            shared_memory: None,
            metrics: true,
            decode_threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}
