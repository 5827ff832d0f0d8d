//! What is asked and how an answer is judged: the words that the engine and the wire formats share.
//!
//! Requests are prepared before the load starts, so that the generator only copies a pointer when one is due.
//! The engine knows nothing of formats: it sends a [`Prepared`] request, hands the [`Answer`] to a [`Wire`], and
//! counts the [`Ending`]. gRPC is the same exchange over HTTP/2: its message is framed when it is prepared,
//! its status is read from the trailers by the wire.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tidegate_inference::Tensor;

/// A request that is ready to be sent with POST, as often as wanted.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Path and query, as it stands in the request line.
    pub path: String,
    /// All but `host` and `content-length`, which the connection adds.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One question of a load: the request, and what is right.
#[derive(Clone, Debug)]
pub struct Question {
    pub request: Prepared,
    /// Rows that the request carries; throughput is told in requests and in rows.
    pub rows: usize,
    /// The outputs that are right, where they are known.
    pub expected: Option<Vec<Tensor>>,
}

/// What came back, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Empty where there were none.
    pub trailers: HeaderMap,
}

/// How one request ended. Every request that was due ends in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Answered, and as expected where something was expected.
    Right,
    /// Answered with success, but not with what is right.
    Wrong,
    /// Answered with success, but in a form that cannot be read.
    Unreadable,
    /// Shed: 429, RESOURCE_EXHAUSTED.
    Refused,
    /// The server says that the request is at fault: 4xx, INVALID_ARGUMENT and the like.
    Invalid,
    /// The server or the model failed: 500, INTERNAL and the like.
    Failed,
    /// 503, UNAVAILABLE.
    Unavailable,
    /// The server gave up on its deadline: 504, DEADLINE_EXCEEDED.
    TooLate,
    /// No whole answer within the client's own timeout.
    TimedOut,
    /// The connection ended after the request was sent and before the answer was whole.
    Broken,
    /// No connection could be made.
    NotConnected,
    /// Never sent: no connection was free in time, or the run ended first.
    NotSent,
    /// The client hung up on purpose, as its behaviour demands.
    Abandoned,
}

impl Ending {
    pub const ALL: [Self; 13] = [
        Self::Right,
        Self::Wrong,
        Self::Unreadable,
        Self::Refused,
        Self::Invalid,
        Self::Failed,
        Self::Unavailable,
        Self::TooLate,
        Self::TimedOut,
        Self::Broken,
        Self::NotConnected,
        Self::NotSent,
        Self::Abandoned,
    ];

    /// As it stands in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::TooLate => "too_late",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::NotConnected => "not_connected",
            Self::NotSent => "not_sent",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether the request was lost: sent or due, and no answer of any kind came.
    pub fn is_lost(self) -> bool {
        matches!(self, Self::TimedOut | Self::Broken | Self::NotConnected | Self::NotSent)
    }

    /// Whether it counts as an error in a report: everything but the right and the abandoned.
    pub fn is_error(self) -> bool {
        !matches!(self, Self::Right | Self::Abandoned)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the server said about its own part in one answer. Nothing of it is needed; all of it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// Time in its queue.
    pub queue: Option<Duration>,
    /// Time that the model took for the batch.
    pub execute: Option<Duration>,
    /// Rows in the batch, everybody's.
    pub batch_rows: Option<u32>,
    /// The version of the model that answered, where the format tells it.
    pub version: Option<u64>,
}

/// The verdict on one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub ending: Ending,
    /// What was expected and what came, or the server's own words; none where the ending is right.
    pub detail: Option<String>,
    pub server: ServerFacts,
}

/// A wire format, as far as the engine has to know it. Called once an answer, on the generator's thread: keep it cheap.
pub trait Wire: Send + Sync {
    fn judge(&self, question: &Question, answer: &Answer) -> Judged;
}
