//! gRPC's answers: HTTP 200 always, and how it really went in `grpc-status`, in the trailers or, when there is no
//! message, right in the head.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tidegate_inference::Error;
use tonic::Status;

use crate::reply::{Live, Reply, ReplyBody};
use crate::status;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// In milliseconds; heard by clients that have a retry policy.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// One message.
pub fn message<P>(chunks: Vec<Bytes>) -> Reply<P> {
    head(ReplyBody::of_chunks(chunks).with_trailers(ok_trailers()))
}

/// Messages as they come.
pub fn stream<P>(pieces: Live<P>) -> Reply<P> {
    head(ReplyBody::live(pieces))
}

/// No message, only why.
pub fn error<P>(error: &Error, triton_compat: bool) -> Reply<P> {
    let mut reply = head(ReplyBody::of(Bytes::new()));
    reply.headers_mut().extend(error_trailers(error, triton_compat));
    reply
}

pub fn ok_trailers() -> HeaderMap {
    HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))])
}

pub fn error_trailers(error: &Error, triton_compat: bool) -> HeaderMap {
    let code = status::code(error.kind(), triton_compat);
    let mut trailers = HeaderMap::new();
    // Every text can be written: what is no header's is percent-encoded.
    let _ = Status::new(code, error.message()).add_header(&mut trailers);
    if let Some(wait) = status::retry_in(error) {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        trailers.insert(PUSHBACK, HeaderValue::from(millis.max(1)));
    }
    trailers
}

fn head<P>(body: ReplyBody<P>) -> Reply<P> {
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, GRPC);
    reply
}
