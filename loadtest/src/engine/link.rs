//! One connection to one endpoint, ready to exchange a request for an answer.
//!
//! Both kinds of HTTP are hyper's. What is special here is only the end of an exchange: whether a request that
//! failed had been sent, because one that was not may be sent again, and one that was is lost.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::RequestBody;
use crate::load::{Behaviour, Endpoint, Stream, Transport};
use crate::question::{Answer, Ending, Prepared};

/// No answer of a model is larger in earnest; a larger one is counted as unreadable.
const MAX_ANSWER: usize = 1 << 30;

/// One place for a request on a connection: the whole of an HTTP/1.1 connection, one stream of an HTTP/2 one.
pub struct Link {
    sender: Sender,
    endpoint: Endpoint,
    _open: Rc<Counted>,
}

enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

/// Counts one for as long as it is held.
pub struct Counted(Rc<Cell<usize>>);

impl Counted {
    pub fn one_more(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A request that came to nothing.
pub enum Lost {
    /// Not sent: it may be sent again on another connection.
    Unsent,
    Sent {
        ending: Ending,
        detail: String,
    },
}

impl Link {
    /// Opens a connection; `open` counts it from now on. HTTP/2 gives as many links as it may have streams.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub async fn open(
        endpoint: Endpoint,
        transport: Transport,
        behaviour: Behaviour,
        open: Rc<Cell<usize>>,
    ) -> Result<Vec<Self>, String> {
        let open = Rc::new(Counted::one_more(&open));
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", endpoint.authority);
        let stream = endpoint.dial.dial().await.map_err(|error| told(&error))?;
        let stream = TokioIo::new(Reluctant::new(stream, behaviour));
        let (sender, links) = match transport {
            Transport::Http1 => {
                let (sender, connection) =
                    http1::handshake(stream).await.map_err(|error| told(&error))?;
                // Its errors come back to whoever asks on it.
                tokio::task::spawn_local(async move {
                    let _ = connection.await;
                });
                (Sender::Http1(sender), 1)
            }
            Transport::Http2 { streams } => {
                let (sender, connection) = http2::Builder::new(Local)
                    .timer(TokioTimer::new())
                    // A window that never makes a large answer wait for its own acknowledgement.
                    .initial_stream_window_size(1 << 20)
                    .initial_connection_window_size(8 << 20)
                    .handshake(stream)
                    .await
                    .map_err(|error| told(&error))?;
                tokio::task::spawn_local(async move {
                    let _ = connection.await;
                });
                (Sender::Http2(sender), streams.max(1))
            }
        };
        let link = Self { sender, endpoint, _open: open };
        Ok(link.divided(links))
    }

    fn divided(self, links: usize) -> Vec<Self> {
        let mut all = Vec::with_capacity(links);
        if let Sender::Http2(sender) = &self.sender {
            all.extend((1..links).map(|_| Self {
                sender: Sender::Http2(sender.clone()),
                endpoint: self.endpoint.clone(),
                _open: Rc::clone(&self._open),
            }));
        }
        all.push(self);
        all
    }

    /// Whether it may be asked: its server has not closed it, as far as is known, and is in the rotation.
    pub fn is_usable(&self) -> bool {
        let closed = match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        };
        !closed && self.endpoint.is_ready()
    }

    /// The request as this connection wants it: HTTP/2 carries the authority in its target.
    pub fn request(
        &self,
        method: Method,
        prepared: &Prepared,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, String> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.headers_mut() = prepared.headers.clone();
        let path = PathAndQuery::try_from(prepared.path.as_str())
            .map_err(|error| format!("path {:?}: {error}", prepared.path))?;
        let authority = &self.endpoint.authority;
        match &self.sender {
            Sender::Http1(_) => {
                *request.uri_mut() = Uri::from(path);
                let host =
                    authority.parse().map_err(|error| format!("host {authority:?}: {error}"))?;
                request.headers_mut().insert(header::HOST, host);
            }
            Sender::Http2(_) => {
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = Uri::builder()
                    .scheme("http")
                    .authority(authority.as_str())
                    .path_and_query(path)
                    .build()
                    .map_err(|error| format!("host {authority:?}: {error}"))?;
            }
        }
        Ok(request)
    }

    /// Sends and reads to the end.
    ///
    /// # Errors
    /// No whole answer; whether the request had left is told.
    pub async fn exchange(&mut self, request: Request<RequestBody>) -> Result<Answer, Lost> {
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                if sender.ready().await.is_err() {
                    return Err(Lost::Unsent);
                }
                sender.try_send_request(request).await
            }
            Sender::Http2(sender) => {
                if sender.ready().await.is_err() {
                    return Err(Lost::Unsent);
                }
                sender.try_send_request(request).await
            }
        };
        match response {
            Ok(response) => read(response).await,
            Err(mut failed) => Err(match failed.take_message() {
                Some(_unsent) => Lost::Unsent,
                None => Lost::Sent {
                    ending: Ending::Broken,
                    detail: format!("no answer: {}", failed.error()),
                },
            }),
        }
    }
}

async fn read(response: http::Response<Incoming>) -> Result<Answer, Lost> {
    let (head, body) = response.into_parts();
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => {
            let trailers = body.trailers().cloned().unwrap_or_default();
            let body = body.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body, trailers })
        }
        Err(error) if error.is::<LengthLimitError>() => Err(Lost::Sent {
            ending: Ending::Unreadable,
            detail: format!("an answer of more than {MAX_ANSWER} bytes"),
        }),
        Err(error) => Err(Lost::Sent {
            ending: Ending::Broken,
            detail: format!("the answer of status {} was cut off: {error}", head.status.as_u16()),
        }),
    }
}

/// Runs what hyper wants to run beside us on the generator's own thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// A stream that, if it is to be slow to read, leaves the answer in the system's buffers for a while after each write.
struct Reluctant {
    stream: Box<dyn Stream>,
    pause: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Reluctant {
    fn new(stream: Box<dyn Stream>, behaviour: Behaviour) -> Self {
        let pause = match behaviour {
            Behaviour::SlowToRead(pause) => Some((pause, Box::pin(sleep_until(Instant::now())))),
            _ => None,
        };
        Self { stream, pause }
    }
}

impl AsyncRead for Reluctant {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if let Some((_, until)) = &mut this.pause {
            ready!(until.as_mut().poll(cx));
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Reluctant {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        if let Some((pause, until)) = &mut this.pause {
            until.as_mut().reset(Instant::now() + *pause);
        }
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        if let Some((pause, until)) = &mut this.pause {
            until.as_mut().reset(Instant::now() + *pause);
        }
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }
}
