//! What a bare server carries: the harness's own engine asks it in a closed loop.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::bare::{Bare, Protocol};
use crate::Failure;
use crate::engine::{DriveOptions, drive};
use crate::figures::Run;
use crate::load::{Arrivals, Behaviour, Endpoint, Load, Transport};
use crate::question::{Answer, Ending, Judged, Question, ServerFacts, Wire};

/// Connections of HTTP/2 at most: callers share them, as those of a gRPC channel do.
const CHANNELS: usize = 8;
/// Far above what any answer of such a server takes, so that one that hangs ends the measurement.
const TIMEOUT: Duration = Duration::from_secs(30);
/// For connections to be opened, before anything is recorded.
const WARM_UP: Duration = Duration::from_millis(200);
/// A closed loop is bounded by its time; this bounds it once more.
const MOST_REQUESTS: u64 = 1_000_000_000;

/// What a bare server is asked, and how its answer is judged.
#[derive(Clone)]
pub struct Exchange {
    pub question: Question,
    pub wire: Arc<dyn Wire>,
}

/// How so many callers share connections of HTTP/2, and how many connections there are.
pub fn channels(callers: usize) -> (Transport, usize) {
    let connections = callers.clamp(1, CHANNELS);
    (Transport::Http2 { streams: callers.div_ceil(connections) }, connections)
}

/// A closed loop of so many callers against a bare server.
///
/// # Errors
/// When the engine cannot run.
pub fn closed_loop(
    bare: &Bare,
    protocol: Protocol,
    exchange: &Exchange,
    callers: NonZeroUsize,
    time: Duration,
) -> Result<Run, Failure> {
    let callers = callers.get();
    let (transport, connections) = match protocol {
        Protocol::Http | Protocol::Json => (Transport::Http1, callers),
        Protocol::Grpc => channels(callers),
    };
    let load = Load {
        name: format!("bare {}", protocol.name()),
        target: format!("{}://{}", protocol.name(), bare.address),
        endpoints: Arc::new([Endpoint::tcp(bare.address)]),
        transport,
        wire: Arc::clone(&exchange.wire),
        questions: Arc::new([exchange.question.clone()]),
        arrivals: Arrivals::Closed { callers },
        start: Duration::ZERO,
        warm_up: WARM_UP,
        duration: time,
        max_requests: MOST_REQUESTS,
        connections,
        timeout: TIMEOUT,
        behaviour: Behaviour::Normal,
        slo: None,
        windows: Vec::new(),
    };
    let options = DriveOptions { threads: 1, seed: 0, server_process: Some(bare.process_id()) };
    let runs = drive(&[load], &options, &mut |_| ControlFlow::Continue(()))?;
    runs.into_iter().next().ok_or_else(|| "a drive of one load gives one run".into())
}

/// Takes any answer of the right length: it is the same bytes every time.
#[derive(Debug)]
pub struct OfLength(pub usize);

impl Wire for OfLength {
    fn judge(&self, _: &Question, answer: &Answer) -> Judged {
        let grpc_status = answer.trailers.get("grpc-status").or(answer.headers.get("grpc-status"));
        let is_ok = answer.status.is_success() && grpc_status.is_none_or(|status| status == "0");
        let (ending, detail) = match answer.body.len() {
            length if is_ok && length == self.0 => (Ending::Right, None),
            length => {
                let status = answer.status.as_u16();
                let expected = self.0;
                let came = format!("expected {expected} bytes, got {length} and status {status}");
                (Ending::Wrong, Some(came))
            }
        };
        Judged { ending, detail, server: ServerFacts::default() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::question::Prepared;

    fn judged(status: StatusCode, body: &'static [u8], grpc: Option<&'static str>) -> Judged {
        let request = Prepared { path: "/".into(), headers: HeaderMap::new(), body: Bytes::new() };
        let mut trailers = HeaderMap::new();
        if let Some(grpc) = grpc {
            trailers.insert("grpc-status", http::HeaderValue::from_static(grpc));
        }
        let headers = HeaderMap::new();
        let answer = Answer { status, headers, body: Bytes::from_static(body), trailers };
        OfLength(2).judge(&Question { request, rows: 1, expected: None }, &answer)
    }

    #[test]
    fn only_a_success_of_the_right_length_is_right() {
        assert_eq!(judged(StatusCode::OK, b"ab", None).ending, Ending::Right);
        assert_eq!(judged(StatusCode::OK, b"ab", Some("0")).ending, Ending::Right);
        assert_eq!(judged(StatusCode::OK, b"a", None).ending, Ending::Wrong);
        assert_eq!(judged(StatusCode::OK, b"ab", Some("13")).ending, Ending::Wrong);
        let refused = judged(StatusCode::BAD_GATEWAY, b"ab", None);
        assert_eq!(refused.detail.unwrap(), "expected 2 bytes, got 2 and status 502");
    }
}
