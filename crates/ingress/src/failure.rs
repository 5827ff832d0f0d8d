//! An error on its way out: with the status that its contract gives it, and at most one extra header.

use http::StatusCode;
use tidegate_inference::Error;
use tidegate_proto::DecodeError;

use crate::status::{self, Contract};

#[derive(Debug)]
pub struct Failure {
    pub status: StatusCode,
    pub error: Error,
    /// Name in lower case, and value.
    pub header: Option<(&'static str, &'static str)>,
}

impl Failure {
    pub fn of(contract: Contract, error: Error) -> Self {
        Self { status: status::status(contract, error.kind()), error, header: None }
    }

    /// A wire contract may fix the status of a fault in the body.
    pub fn in_body(contract: Contract, error: DecodeError) -> Self {
        let fixed = error.status().and_then(|code| StatusCode::from_u16(code).ok());
        let failure = Self::of(contract, error.into());
        Self { status: fixed.unwrap_or(failure.status), ..failure }
    }

    /// For the faults of HTTP itself, which no error kind means.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }
}
