//! The one error that reaches a caller. Its kind says who is at fault and whether to try again;
//! `tidegate-ingress` turns the kind into an HTTP status in one place.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a status code cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Malformed, or wrong in name, datatype, shape or size: the caller's to mend.
    InvalidArgument,
    /// No or bad credentials.
    Unauthenticated,
    /// Known caller, not allowed.
    PermissionDenied,
    UnknownModel,
    UnknownVersion,
    UnknownLabel,
    /// Body or batch beyond its limit.
    TooLarge,
    /// Queue full or a limit reached: shed, try later.
    Overloaded,
    /// The model failed on this request.
    ModelFailed,
    /// Loading, draining, or no version takes traffic.
    Unavailable,
    DeadlineExceeded,
    /// Understood, and not offered.
    Unimplemented,
    /// A fault of the gateway itself.
    Internal,
}

impl ErrorKind {
    pub const ALL: [Self; 13] = [
        Self::InvalidArgument,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::UnknownModel,
        Self::UnknownVersion,
        Self::UnknownLabel,
        Self::TooLarge,
        Self::Overloaded,
        Self::ModelFailed,
        Self::Unavailable,
        Self::DeadlineExceeded,
        Self::Unimplemented,
        Self::Internal,
    ];

    /// A stable word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::UnknownModel => "unknown_model",
            Self::UnknownVersion => "unknown_version",
            Self::UnknownLabel => "unknown_label",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::ModelFailed => "model_failed",
            Self::Unavailable => "unavailable",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
        }
    }
}

/// A typed refusal or failure. The message names the thing, what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Says when a retry has a chance; becomes `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Puts the place in front of the message: `model 'digits' version 2: ...`.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message).into();
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
