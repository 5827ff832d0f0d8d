//! One prediction, asked and answered, and the two traits through which ingress asks.
//!
//! A request arrives in steps. Its size asks for a *permit*, before anything of it is held in memory. Its
//! *head* (who is asked, until when) is enough to admit it and to pick the version, so overload is refused
//! before a body is decoded, and formats that do not name datatypes are decoded against the contract of
//! the very version that will run them. Then its *body* goes to the version that was picked, and to no other.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use crate::{
    Catalog, Deadline, Error, ModelName, Priority, Result, Signature, Tensor, Timeline, Version,
    VersionSelector,
};

/// What is known of a request before its body is decoded.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub model: ModelName,
    pub selector: VersionSelector,
    /// When the head was read: what every deadline of the request counts from.
    pub received: Instant,
    /// The sooner of the caller's timeout, as far as the head tells it, and the server's.
    pub deadline: Deadline,
}

/// A decoded request.
#[derive(Clone, Debug)]
pub struct Request {
    pub inputs: Vec<Tensor>,
    /// Outputs to return, in this order; empty means all.
    pub outputs: Vec<Arc<str>>,
    pub parameters: Parameters,
    /// The timeout that stood in the body. It can only bring the head's deadline forward.
    pub deadline: Option<Deadline>,
    pub priority: Priority,
    pub timeline: Timeline,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub outputs: Vec<Tensor>,
    pub timeline: Timeline,
}

/// Request parameters that this gateway does not act on are carried and ignored.
pub type Parameters = BTreeMap<String, ParameterValue>;

#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    Bool(bool),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    String(String),
}

/// By which door a request in TensorFlow Serving's words came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrypoint {
    Rest,
    Grpc,
}

impl Entrypoint {
    pub const ALL: [Self; 2] = [Self::Rest, Self::Grpc];

    /// A stable word for metrics: TensorFlow Serving's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "REST",
            Self::Grpc => "GRPC",
        }
    }
}

/// The house behind the front door: implemented by the router, and by mocks in tests.
pub trait Admission: Send + Sync + 'static {
    type Permit: Permit;
    type Admitted: Admitted;

    /// Takes a permit for a request that will hold so many bytes, as far as is known, or refuses at once.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Overloaded`], or [`crate::ErrorKind::TooLarge`] for what could never enter.
    fn permit(&self, bytes: usize) -> Result<Self::Permit>;

    /// Picks a version from one snapshot of the route table, or refuses at once.
    ///
    /// # Errors
    /// Nobody of that name; not ready; or it would be late.
    fn admit(&self, head: &RequestHead, permit: Self::Permit) -> Result<Self::Admitted>;

    /// The models as of now.
    fn catalog(&self) -> Arc<Catalog>;
}

/// The right to be in flight; given back when dropped.
pub trait Permit: Send + 'static {
    /// The request turned out `bytes` larger than was known (chunked or compressed).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Overloaded`] when no more bytes may be in flight.
    fn grow(&mut self, bytes: usize) -> Result<()>;
}

/// One request's place inside: its permit and its version. Lives as long as the response body;
/// dropped without [`Admitted::settle`] it counts as a caller that went away.
pub trait Admitted: Permit {
    fn model(&self) -> &ModelName;
    fn version(&self) -> Version;
    fn signature(&self) -> &Arc<Signature>;

    /// When nobody waits any more: the head's deadline, brought forward by the model's own bound,
    /// and by the body's timeout once [`Admitted::infer`] was called.
    fn deadline(&self) -> Deadline;

    /// Checks, queues, runs. Answers by the deadline at the latest.
    fn infer(&mut self, request: Request) -> impl Future<Output = Result<Response>> + Send;

    /// Records that it was asked in TensorFlow Serving's words, and how that ended; besides, and before,
    /// [`Admitted::settle`]. A house that keeps no such metrics has nothing to do.
    fn tensorflow(&self, _entrypoint: Entrypoint, _outcome: Result<&Timeline, &Error>) {}

    /// Records how it ended, once: `Ok` with the answer's timeline, or the error that was answered.
    fn settle(&mut self, outcome: Result<&Timeline, &Error>);
}
