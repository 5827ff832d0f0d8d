//! Why a body could not be read. Nearly always the caller's fault and a 400; where a wire contract
//! fixes another status for a fault, the error carries it, so that no other room needs to know.

use std::fmt;

use tidegate_inference::{Error, ErrorKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    error: Error,
    status: Option<u16>,
}

impl DecodeError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { error: Error::invalid(message.into()), status: None }
    }

    pub(crate) fn unimplemented(message: impl Into<String>) -> Self {
        Self { error: Error::new(ErrorKind::Unimplemented, message.into()), status: None }
    }

    /// Answered with `status` on the path of this contract, whatever the kind says elsewhere.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Puts the place in front of the message.
    #[must_use]
    pub fn within(self, place: impl fmt::Display) -> Self {
        Self { error: self.error.within(place), ..self }
    }

    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The HTTP status that the wire contract fixes for this fault; `None`: as the kind says.
    pub fn status(&self) -> Option<u16> {
        self.status
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for DecodeError {}

impl From<Error> for DecodeError {
    fn from(error: Error) -> Self {
        Self { error, status: None }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        error.error
    }
}
