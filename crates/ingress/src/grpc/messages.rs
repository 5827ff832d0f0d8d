//! The messages of a call, out of the body they come in: each behind five bytes that say how long it is. A permit
//! for a message is taken when that is known, before there is memory for it.
//!
//! A message that arrived in one frame is a window into that frame. What was read of a message stays here when a
//! reader gives up waiting, so it may do something else in between.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;
use tidegate_inference::{Admission, Error, ErrorKind};
use tidegate_proto::grpc::{PREFIX, Prefix};
use tokio::time::{Sleep, sleep_until};

use crate::body::{append, within};

/// One message as it came, and the permit for it.
pub struct Message<P> {
    pub bytes: Bytes,
    pub compressed: bool,
    /// When its first byte was there.
    pub received: Instant,
    pub permit: P,
}

/// Why there is no message.
#[derive(Debug)]
pub enum Broken {
    Refused(Error),
    /// The stream broke under it: nobody waits for an answer.
    Gone,
}

pub struct Messages<P> {
    body: Incoming,
    /// Read and not used.
    rest: Bytes,
    begun: Option<Begun<P>>,
    /// Bytes of a prefix that came in pieces.
    joined: BytesMut,
    /// When the bytes at hand were there.
    received: Instant,
    max_bytes: usize,
    /// How long a message may take from its first byte to its last.
    patience: Duration,
    late: Option<Pin<Box<Sleep>>>,
}

struct Begun<P> {
    prefix: Prefix,
    permit: P,
}

impl<P> Messages<P> {
    pub fn of(body: Incoming, received: Instant, max_bytes: usize, patience: Duration) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            begun: None,
            joined: BytesMut::new(),
            received,
            max_bytes,
            patience,
            late: None,
        }
    }

    /// The only message of a call, if it is there by then.
    pub async fn only<A: Admission<Permit = P>>(
        &mut self,
        admission: &A,
        until: Instant,
    ) -> Result<Message<P>, Broken> {
        let whole = within(until, pin!(self.whole(admission))).await;
        whole.unwrap_or_else(|| Err(self.too_late()))
    }

    async fn whole<A: Admission<Permit = P>>(
        &mut self,
        admission: &A,
    ) -> Result<Message<P>, Broken> {
        let one = |got| {
            Broken::Refused(Error::invalid(format!("expected one message in this call, got {got}")))
        };
        let message = self.next(admission).await?.ok_or_else(|| one("none"))?;
        if poll_fn(|cx| self.poll_end(cx)).await? { Ok(message) } else { Err(one("more")) }
    }

    /// The next message; `None` at the end. Nothing is lost when this is dropped before it is ready.
    pub async fn next<A: Admission<Permit = P>>(
        &mut self,
        admission: &A,
    ) -> Result<Option<Message<P>>, Broken> {
        poll_fn(|cx| self.poll_next(cx, admission)).await
    }

    pub fn poll_next<A: Admission<Permit = P>>(
        &mut self,
        cx: &mut Context<'_>,
        admission: &A,
    ) -> Poll<Result<Option<Message<P>>, Broken>> {
        loop {
            if let Some(message) = self.take_message(admission).map_err(Broken::Refused)? {
                self.late = None;
                return Poll::Ready(Ok(Some(message)));
            }
            match self.poll_frame(cx)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) if self.is_between_messages() => return Poll::Ready(Ok(None)),
                Poll::Ready(false) => {
                    let error = Error::invalid("the body ends in the middle of a message");
                    return Poll::Ready(Err(Broken::Refused(error)));
                }
                Poll::Pending => return self.poll_late(cx).map(Err),
            }
        }
    }

    /// True at the end; false when there is another byte.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        while self.rest.is_empty() {
            if !ready!(self.poll_frame(cx)?) {
                return Poll::Ready(Ok(true));
            }
        }
        Poll::Ready(Ok(false))
    }

    fn is_between_messages(&self) -> bool {
        self.begun.is_none() && self.joined.is_empty() && self.rest.is_empty()
    }

    /// Puts a message together from what was read, as far as it goes.
    fn take_message<A: Admission<Permit = P>>(
        &mut self,
        admission: &A,
    ) -> Result<Option<Message<P>>, Error> {
        if self.begun.is_none() {
            let Some(prefix) = self.take(PREFIX, PREFIX) else { return Ok(None) };
            let prefix: [u8; PREFIX] = prefix[..].try_into().expect("so many were taken");
            let prefix = Prefix::read(prefix)?;
            if prefix.length > self.max_bytes {
                let message = format!(
                    "a message of {} bytes exceeds the maximum of {} bytes",
                    prefix.length, self.max_bytes
                );
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            let permit = admission.permit(prefix.length)?;
            self.begun = Some(Begun { prefix, permit });
        }
        let length = self.begun.as_ref().map_or(0, |begun| begun.prefix.length);
        let Some(bytes) = self.take(length, length) else { return Ok(None) };
        let received = self.received;
        Ok(self.begun.take().map(|Begun { prefix, permit }| Message {
            bytes,
            compressed: prefix.compressed,
            received,
            permit,
        }))
    }

    /// So many bytes in one piece, once they are there; of which `declared` says how much room they need in all.
    fn take(&mut self, count: usize, declared: usize) -> Option<Bytes> {
        if self.joined.is_empty() && self.rest.len() >= count {
            return Some(self.rest.split_to(count));
        }
        let missing = count - self.joined.len();
        let piece = self.rest.split_to(missing.min(self.rest.len()));
        append(&mut self.joined, &piece, Some(declared), 0);
        (self.joined.len() == count).then(|| std::mem::take(&mut self.joined).freeze())
    }

    /// Reads one more frame of data into `rest`, which is empty. False at the end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        loop {
            // Whoever asks after the last frame has to be polled again to hear that there is none.
            if self.body.is_end_stream() {
                return Poll::Ready(Ok(false));
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                return Poll::Ready(Ok(false));
            };
            let Ok(data) = frame.map_err(|_| Broken::Gone)?.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            if self.is_between_messages() {
                self.received = Instant::now();
            }
            self.rest = data;
            return Poll::Ready(Ok(true));
        }
    }

    fn too_late(&self) -> Broken {
        let waited = self.received.elapsed();
        let message = format!("the message did not arrive within {waited:.0?}");
        Broken::Refused(Error::new(ErrorKind::DeadlineExceeded, message))
    }

    /// A message that has begun has to end. Between messages a caller may take its time.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        if self.is_between_messages() {
            self.late = None;
            return Poll::Pending;
        }
        let until = self.received + self.patience;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        ready!(late.as_mut().poll(cx));
        Poll::Ready(self.too_late())
    }
}
