//! What is owed for one inference request, whatever happens to it: a line in the access log, and the
//! settling of its permit. Both are paid by a drop when the caller vanishes or a handler panics.

use std::borrow::Cow;
use std::thread;
use std::time::Instant;

use tidegate_credentials::Caller;
use tidegate_inference::{
    Admitted, Entrypoint, Error, ErrorKind, Result, Stage, Timeline, Version,
};
use tidegate_telemetry::{AccessLog, AccessRecord};

use crate::request_id::RequestId;

/// nginx's code for a caller that closed first; it is only ever seen in the log.
const CALLER_GONE: u16 = 499;

/// One request's line in the access log.
pub struct Visit<'a> {
    log: &'a AccessLog,
    request_id: &'a RequestId,
    protocol: &'static str,
    caller: Option<&'a Caller>,
    pub model: Option<Cow<'a, str>>,
    received: Instant,
    pub version: Option<Version>,
    pub request_bytes: usize,
    written: bool,
}

impl<'a> Visit<'a> {
    pub fn new(
        log: &'a AccessLog,
        request_id: &'a RequestId,
        protocol: &'static str,
        caller: Option<&'a Caller>,
        model: Option<Cow<'a, str>>,
        received: Instant,
    ) -> Self {
        Self {
            log,
            request_id,
            protocol,
            caller,
            model,
            received,
            version: None,
            request_bytes: 0,
            written: false,
        }
    }

    pub fn protocol(&self) -> &'static str {
        self.protocol
    }

    pub fn responded(mut self, timeline: &Timeline, response_bytes: usize) {
        self.write("response", 200, Some(timeline), response_bytes);
    }

    pub fn failed(mut self, kind: ErrorKind, status: u16, response_bytes: usize) {
        self.write(kind.as_str(), status, None, response_bytes);
    }

    fn write(
        &mut self,
        outcome: &str,
        status: u16,
        timeline: Option<&Timeline>,
        response_bytes: usize,
    ) {
        self.written = true;
        self.log.record(&AccessRecord {
            request_id: self.request_id.as_str(),
            protocol: self.protocol,
            key: self.caller.map(Caller::name),
            model: self.model.as_deref(),
            version: self.version,
            outcome,
            status,
            latency: timeline
                .and_then(|timeline| timeline.between(Stage::Received, Stage::Encoded))
                .unwrap_or_else(|| self.received.elapsed()),
            timeline,
            request_bytes: self.request_bytes,
            response_bytes,
        });
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.written {
            return;
        }
        if thread::panicking() {
            self.write(ErrorKind::Internal.as_str(), 500, None, 0);
        } else {
            self.write("caller_gone", CALLER_GONE, None, 0);
        }
    }
}

/// An admitted request whose end is not recorded yet. Dropped as it is, the caller has gone; dropped by a
/// panic, the gateway failed it.
pub struct Unsettled<P: Admitted> {
    /// Taken only by settling.
    admitted: Option<P>,
    /// By which door it came, if it was asked in TensorFlow Serving's words.
    entrypoint: Option<Entrypoint>,
}

impl<P: Admitted> Unsettled<P> {
    pub fn new(admitted: P, entrypoint: Option<Entrypoint>) -> Self {
        Self { admitted: Some(admitted), entrypoint }
    }

    pub fn admitted(&self) -> &P {
        self.admitted.as_ref().expect("taken only by settle")
    }

    pub fn admitted_mut(&mut self) -> &mut P {
        self.admitted.as_mut().expect("taken only by settle")
    }

    /// What remains is the permit, to be held until the answer has left.
    pub fn settle(mut self, outcome: Result<&Timeline, &Error>) -> P {
        let mut admitted = self.admitted.take().expect("settled once: settling consumes");
        record(&mut admitted, self.entrypoint, outcome);
        admitted
    }
}

impl<P: Admitted> Drop for Unsettled<P> {
    fn drop(&mut self) {
        if let Some(admitted) = self.admitted.as_mut().filter(|_| thread::panicking()) {
            let error = Error::internal("the gateway panicked on this request");
            record(admitted, self.entrypoint, Err(&error));
        }
    }
}

fn record<P: Admitted>(
    admitted: &mut P,
    entrypoint: Option<Entrypoint>,
    outcome: Result<&Timeline, &Error>,
) {
    if let Some(entrypoint) = entrypoint {
        admitted.tensorflow(entrypoint, outcome);
    }
    admitted.settle(outcome);
}
