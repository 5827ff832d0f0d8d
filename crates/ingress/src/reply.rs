//! Answers: a head, and a body that carries the request's permit with its last chunk.
//!
//! hyper drops a *body* as soon as it has taken the last chunk from it, which can be long before a slow
//! caller has read that chunk. It drops the *chunk* when the socket has taken its last byte. So the permit
//! travels in the chunk, and "in flight" means until the answer has left.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tidegate_inference::ErrorKind;
use tidegate_proto::{open_inference, tensorflow_serving};

use crate::activity::InFlight;
use crate::failure::Failure;
use crate::status::{self, Contract};

pub type Reply<P> = Response<ReplyBody<P>>;

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub struct ReplyBody<P> {
    chunks: Chunks,
    /// Bytes of the chunks that are still to come.
    left: usize,
    hold: Hold<P>,
    /// What comes after the chunks, for as long as it comes.
    live: Option<Live<P>>,
    trailers: Option<HeaderMap>,
}

/// An answer that is made while it is sent. Dropped with its body, when the caller has gone.
pub type Live<P> = Pin<Box<dyn Stream<Item = Piece<P>> + Send>>;

pub enum Piece<P> {
    /// The permit leaves with the last of the bytes.
    Chunks(Vec<Bytes>, Option<P>),
    /// Nothing comes after these.
    Trailers(HeaderMap),
}

enum Chunks {
    One(Bytes),
    Many(vec::IntoIter<Bytes>),
}

/// What is given back when the answer has left.
struct Hold<P> {
    permit: Option<P>,
    in_flight: Option<InFlight>,
}

pub struct Chunk<P> {
    bytes: Bytes,
    /// Held for its drop.
    _hold: Hold<P>,
}

impl<P> ReplyBody<P> {
    pub fn of(bytes: Bytes) -> Self {
        let left = bytes.len();
        Self { chunks: Chunks::One(bytes), left, hold: Hold::nothing(), live: None, trailers: None }
    }

    pub fn of_chunks(chunks: Vec<Bytes>) -> Self {
        let mut body = Self::of(Bytes::new());
        body.refill(chunks);
        body
    }

    pub fn live(pieces: Live<P>) -> Self {
        Self { live: Some(pieces), ..Self::of(Bytes::new()) }
    }

    #[must_use]
    pub fn holding(mut self, permit: P) -> Self {
        self.hold.permit = Some(permit);
        self
    }

    #[must_use]
    pub fn with_trailers(mut self, trailers: HeaderMap) -> Self {
        self.trailers = Some(trailers);
        self
    }

    pub fn hold_connection(&mut self, in_flight: InFlight) {
        self.hold.in_flight = Some(in_flight);
    }

    /// Bytes that are known to come.
    pub fn len(&self) -> usize {
        self.left
    }

    fn refill(&mut self, chunks: Vec<Bytes>) {
        self.left = chunks.iter().map(Bytes::len).sum();
        self.chunks = Chunks::Many(chunks.into_iter());
    }

    fn next_chunk(&mut self) -> Option<Chunk<P>> {
        let bytes = match &mut self.chunks {
            Chunks::One(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Chunks::Many(chunks) => chunks.find(|chunk| !chunk.is_empty()),
        }?;
        self.left -= bytes.len();
        let mut hold = Hold::nothing();
        if self.left == 0 {
            hold.permit = self.hold.permit.take();
            if self.live.is_none() {
                hold.in_flight = self.hold.in_flight.take();
            }
        }
        Some(Chunk { bytes, _hold: hold })
    }
}

impl<P> Hold<P> {
    fn nothing() -> Self {
        Self { permit: None, in_flight: None }
    }
}

// Nothing in it is ever pinned in place.
impl<P> Unpin for ReplyBody<P> {}

impl<P> Body for ReplyBody<P> {
    type Data = Chunk<P>;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk<P>>, Infallible>>> {
        loop {
            if let Some(chunk) = self.next_chunk() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            let Some(live) = self.live.as_mut() else { break };
            match ready!(live.as_mut().poll_next(cx)) {
                Some(Piece::Chunks(chunks, permit)) => {
                    self.refill(chunks);
                    self.hold.permit = permit;
                }
                Some(Piece::Trailers(trailers)) => {
                    self.trailers = Some(trailers);
                    self.live = None;
                }
                None => self.live = None,
            }
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.live.is_none() && self.trailers.is_none()
    }

    /// Exact where nothing else follows: then it becomes `Content-Length`.
    fn size_hint(&self) -> SizeHint {
        if self.live.is_some() || self.trailers.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.left as u64)
    }
}

impl<P> Buf for Chunk<P> {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

pub fn json<P>(status: StatusCode, body: Bytes) -> Reply<P> {
    let mut reply = Response::new(ReplyBody::of(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

/// `{"error": ...}` in the spelling of the contract.
pub fn error<P>(contract: Contract, status: StatusCode, message: &str) -> Reply<P> {
    let body = match contract {
        Contract::TensorFlow => tensorflow_serving::error_body(message),
        Contract::OpenInference | Contract::Plain => open_inference::error_body(message),
    };
    json(status, body)
}

pub fn failure<P>(contract: Contract, failure: Failure) -> Reply<P> {
    let mut reply = error(contract, failure.status, failure.error.message());
    if let Some(wait) = status::retry_after(&failure.error) {
        reply.headers_mut().insert(RETRY_AFTER, wait);
    }
    if failure.error.kind() == ErrorKind::Unauthenticated {
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some((name, value)) = failure.header {
        reply.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}

/// Tells an HTTP/1 caller that this connection ends here.
pub fn closing<P>(mut reply: Reply<P>) -> Reply<P> {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn the_permit_travels_with_the_last_chunk() {
        let permit = Arc::new(());
        let chunks =
            vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c"), Bytes::new()];
        let mut body = ReplyBody::of_chunks(chunks).holding(Arc::clone(&permit));
        assert_eq!(body.size_hint().exact(), Some(3));
        drop(body.frame().await.unwrap().unwrap());
        assert!(!body.is_end_stream());
        let last = body.frame().await.unwrap().unwrap();
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(Arc::strong_count(&permit), 2);
        drop(last);
        assert_eq!(Arc::strong_count(&permit), 1);
    }

    #[tokio::test]
    async fn a_live_body_gives_each_permit_back_with_its_piece_and_ends_in_trailers() {
        let permits = [Arc::new(()), Arc::new(())];
        let pieces = permits.clone().map(|permit| Piece::Chunks(vec!["ab".into()], Some(permit)));
        let end = Piece::Trailers(HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from(1))]));
        let live = futures_util::stream::iter(pieces.into_iter().chain([end]));
        let mut body = ReplyBody::live(Box::pin(live));
        let free = || permits.each_ref().map(|permit| Arc::strong_count(permit) == 1);
        drop(body.frame().await.unwrap().unwrap().into_data());
        assert_eq!((free(), body.is_end_stream()), ([true, false], false));
        drop(body.frame().await.unwrap().unwrap().into_data());
        assert_eq!((free(), body.is_end_stream()), ([true, true], false));
        let trailers = body.frame().await.unwrap().unwrap().into_trailers();
        assert!(trailers.is_ok_and(|trailers| trailers.contains_key(RETRY_AFTER)));
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn an_empty_body_ends_at_once() {
        let mut body = ReplyBody::<()>::of(Bytes::new());
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }
}
