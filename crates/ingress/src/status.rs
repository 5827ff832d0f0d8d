//! The one place where an error's kind becomes an HTTP or a gRPC status, and where a wire contract that wants
//! another status on its own paths gets it.
//!
//! Shedding is 429, never 503: standard clients repeat a 503 at once and make an overload worse.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tidegate_inference::{Error, ErrorKind};
use tonic::Code;

/// Whose rules a path follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// `/v2/...`: Open Inference Protocol.
    OpenInference,
    /// `/v1/...`: TensorFlow Serving.
    TensorFlow,
    /// Our own paths.
    Plain,
}

pub fn status(contract: Contract, kind: ErrorKind) -> StatusCode {
    match (contract, kind) {
        // TensorFlow Serving looks a label up before it looks for a servable.
        (Contract::TensorFlow, ErrorKind::UnknownLabel) => StatusCode::BAD_REQUEST,
        (_, kind) => general(kind),
    }
}

fn general(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::UnknownModel | ErrorKind::UnknownVersion | ErrorKind::UnknownLabel => {
            StatusCode::NOT_FOUND
        }
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::ModelFailed | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unimplemented => StatusCode::NOT_IMPLEMENTED,
    }
}

/// The same as a gRPC status.
///
/// With `triton_compat` shedding is UNAVAILABLE, as Triton has it; KServe's clients repeat that by themselves.
pub fn code(kind: ErrorKind, triton_compat: bool) -> Code {
    match kind {
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::UnknownModel | ErrorKind::UnknownVersion => Code::NotFound,
        // Only TensorFlow Serving's calls ask for labels, and it calls an unknown one that.
        ErrorKind::UnknownLabel => Code::InvalidArgument,
        ErrorKind::Overloaded if triton_compat => Code::Unavailable,
        ErrorKind::TooLarge | ErrorKind::Overloaded => Code::ResourceExhausted,
        ErrorKind::ModelFailed | ErrorKind::Internal => Code::Internal,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorKind::Unimplemented => Code::Unimplemented,
    }
}

/// `Retry-After` in whole seconds, at least 1, on every answer that invites another try.
pub fn retry_after(error: &Error) -> Option<HeaderValue> {
    let wait = retry_in(error)?;
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Some(HeaderValue::from(seconds.max(1)))
}

/// When another try has a chance, for errors that invite one.
pub fn retry_in(error: &Error) -> Option<Duration> {
    let invited = matches!(error.kind(), ErrorKind::Overloaded | ErrorKind::Unavailable);
    error.retry_after().or(invited.then_some(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_grpc_status() {
        let expected = [3, 16, 7, 5, 5, 3, 8, 8, 13, 14, 4, 12, 13];
        for (kind, number) in ErrorKind::ALL.into_iter().zip(expected) {
            assert_eq!(code(kind, false) as i32, number, "{kind:?}");
        }
        assert_eq!(code(ErrorKind::Overloaded, true), Code::Unavailable);
        assert_eq!(code(ErrorKind::TooLarge, true), Code::ResourceExhausted);
    }

    #[test]
    fn every_kind_has_the_status_of_the_table() {
        let expected = [400, 401, 403, 404, 404, 404, 413, 429, 500, 503, 504, 501, 500];
        for (kind, code) in ErrorKind::ALL.into_iter().zip(expected) {
            assert_eq!(status(Contract::OpenInference, kind).as_u16(), code, "{kind:?}");
            assert_eq!(status(Contract::Plain, kind).as_u16(), code, "{kind:?}");
        }
    }

    #[test]
    fn tensorflow_calls_an_unknown_label_a_bad_request() {
        assert_eq!(status(Contract::TensorFlow, ErrorKind::UnknownLabel), 400);
        assert_eq!(status(Contract::TensorFlow, ErrorKind::UnknownModel), 404);
    }

    #[test]
    fn retry_after_is_whole_seconds_and_at_least_one() {
        let after =
            |error: Error| retry_after(&error).map(|value| value.to_str().unwrap().to_owned());
        let overloaded = || Error::new(ErrorKind::Overloaded, "full");
        assert_eq!(after(overloaded()).as_deref(), Some("1"));
        assert_eq!(after(overloaded().with_retry_after(Duration::ZERO)).as_deref(), Some("1"));
        let long = overloaded().with_retry_after(Duration::from_millis(2_001));
        assert_eq!(after(long).as_deref(), Some("3"));
        assert_eq!(after(Error::invalid("no")), None);
    }
}
