//! ModelStreamInfer: many requests and their answers in one call. Requests run side by side, as if they had come in
//! calls of their own; answers leave in the order of their requests, or as soon as they are there when the call's
//! metadata says `tidegate-response-order: any`.
//!
//! A request that fails is answered with its error and its id, and the stream goes on, as Triton has it; with
//! `triton_grpc_error: true` in the metadata the first error ends the call with its status.
//!
//! Nothing is spawned: the answer's body is what drives it all, so a caller that cancels drops every request.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered, unfold};
use http::HeaderMap;
use tidegate_inference::{Admission, Error, ErrorKind, Permit};
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::inference::{ModelInferResponse, ModelStreamInferResponse};
use tokio::time::{Instant, Sleep, sleep};

use super::infer::{Served, Terms};
use super::messages::{Broken, Message, Messages};
use super::reply;
use crate::Ingress;
use crate::drain::DrainListener;
use crate::infer::Exchange;
use crate::reply::{Piece, Reply};

/// Requests of one stream that are inside at the same time; the next one is read when an answer has left.
const MOST: usize = 256;

impl<A: Admission> Ingress<A> {
    pub(super) fn grpc_stream(
        self: &Arc<Self>,
        exchange: Exchange<'_>,
        terms: Terms,
    ) -> Reply<A::Admitted> {
        let (limit, patience) = (self.config.max_body_size, self.config.body_read_timeout);
        let headers = &exchange.parts.headers;
        let stream = InferStream {
            requests: Some(Messages::of(exchange.body, exchange.received, limit, patience)),
            running: if says(headers, "tidegate-response-order", "any") {
                Running::AnyOrder(FuturesUnordered::new())
            } else {
                Running::InOrder(FuturesOrdered::new())
            },
            ends_on_error: says(headers, "triton_grpc_error", "true"),
            last_word: None,
            drain: self.drain.listener(),
            quiet: Box::pin(sleep(self.config.stream_idle_timeout)),
            terms: Arc::new(terms),
            ingress: Arc::clone(self),
        };
        reply::stream(Box::pin(unfold(stream, InferStream::next)))
    }
}

fn says(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|given| given.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
}

struct InferStream<A: Admission> {
    ingress: Arc<Ingress<A>>,
    terms: Arc<Terms>,
    /// None when no more is read.
    requests: Option<Messages<A::Permit>>,
    running: Running<A::Admitted>,
    ends_on_error: bool,
    /// How the call ends, once that is decided and everybody inside is answered.
    last_word: Option<HeaderMap>,
    drain: DrainListener,
    /// Ends when nothing has come for too long.
    quiet: Pin<Box<Sleep>>,
}

type OneServed<P> = BoxFuture<'static, Served<P>>;

/// The requests inside.
enum Running<P> {
    InOrder(FuturesOrdered<OneServed<P>>),
    AnyOrder(FuturesUnordered<OneServed<P>>),
}

/// What moves a stream on.
enum Event<A: Admission> {
    Answered(Served<A::Admitted>),
    Asked(Message<A::Permit>),
    /// No more requests: the caller is done, or is told why.
    NoMore(HeaderMap),
    Gone,
}

impl<A: Admission> InferStream<A> {
    async fn next(mut self) -> Option<(Piece<A::Admitted>, Self)> {
        loop {
            if self.running.len() == 0 && self.requests.is_none() {
                let trailers = self.last_word.take()?;
                return Some((Piece::Trailers(trailers), self));
            }
            match poll_fn(|cx| self.poll_event(cx)).await {
                Event::Asked(message) => self.begin(message),
                Event::Answered(served) => {
                    let piece = self.piece(served);
                    return Some((piece, self));
                }
                Event::NoMore(trailers) => {
                    self.requests = None;
                    self.last_word = Some(trailers);
                }
                Event::Gone => return None,
            }
        }
    }

    /// Answers first: they free places.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event<A>> {
        if let Poll::Ready(Some(served)) = self.running.poll_next(cx) {
            return Poll::Ready(Event::Answered(served));
        }
        let Some(requests) = self.requests.as_mut().filter(|_| self.running.len() < MOST) else {
            return Poll::Pending;
        };
        match requests.poll_next(cx, &*self.ingress.admission) {
            Poll::Ready(Ok(Some(message))) => return Poll::Ready(Event::Asked(message)),
            Poll::Ready(Ok(None)) => return Poll::Ready(Event::NoMore(reply::ok_trailers())),
            Poll::Ready(Err(Broken::Refused(error))) => {
                self.ingress.telemetry.refused(self.terms.protocol.name(), error.kind());
                return Poll::Ready(Event::NoMore(self.trailers(&error)));
            }
            Poll::Ready(Err(Broken::Gone)) => return Poll::Ready(Event::Gone),
            Poll::Pending => {}
        }
        if self.drain.poll_begun(cx).is_ready() {
            let error = Error::new(ErrorKind::Unavailable, "the server is draining");
            return Poll::Ready(Event::NoMore(self.trailers(&error)));
        }
        if self.running.len() > 0 {
            return Poll::Pending;
        }
        ready!(self.quiet.as_mut().poll(cx));
        let idle = self.ingress.config.stream_idle_timeout;
        let error = Error::new(
            ErrorKind::DeadlineExceeded,
            format!("no request has come on this stream for {idle:?}"),
        );
        Poll::Ready(Event::NoMore(self.trailers(&error)))
    }

    fn begin(&mut self, message: Message<A::Permit>) {
        let (ingress, terms) = (Arc::clone(&self.ingress), Arc::clone(&self.terms));
        self.running.push(Box::pin(async move {
            let received = message.received;
            ingress.serve_message(message, received, &terms).await
        }));
        self.be_patient();
    }

    fn be_patient(&mut self) {
        let until = Instant::now() + self.ingress.config.stream_idle_timeout;
        self.quiet.as_mut().reset(until);
    }

    fn piece(&mut self, served: Served<A::Admitted>) -> Piece<A::Admitted> {
        self.be_patient();
        match served.outcome {
            Ok(answer) => Piece::Chunks(answer.encoded.chunks, served.permit),
            Err(error) if self.ends_on_error => {
                (self.requests, self.last_word) = (None, None);
                self.running.clear();
                Piece::Trailers(self.trailers(&error))
            }
            Err(error) => Piece::Chunks(vec![error_message(&error, served.id)], served.permit),
        }
    }

    fn trailers(&self, error: &Error) -> HeaderMap {
        reply::error_trailers(error, self.ingress.config.triton_compat)
    }
}

/// The request is named by its id; a response of which nothing else is set.
fn error_message(error: &Error, id: String) -> bytes::Bytes {
    frame(&ModelStreamInferResponse {
        error_message: error.message().to_owned(),
        infer_response: Some(ModelInferResponse { id, ..ModelInferResponse::default() }),
    })
}

impl<P: Permit> Running<P> {
    fn push(&mut self, request: OneServed<P>) {
        match self {
            Self::InOrder(running) => running.push_back(request),
            Self::AnyOrder(running) => running.push(request),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Served<P>>> {
        match self {
            Self::InOrder(running) => Pin::new(running).poll_next(cx),
            Self::AnyOrder(running) => Pin::new(running).poll_next(cx),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::InOrder(running) => running.len(),
            Self::AnyOrder(running) => running.len(),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::InOrder(running) => *running = FuturesOrdered::new(),
            Self::AnyOrder(running) => running.clear(),
        }
    }
}
