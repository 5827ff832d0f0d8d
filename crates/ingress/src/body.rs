//! Request bodies: read whole, within a size and a time, paid for as they grow; or left unread.
//!
//! A body that arrived in one piece with its head is used as it is, without a copy and without a timer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use http::request::Parts;
use http::{StatusCode, Version, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tidegate_inference::{Deadline, Error, ErrorKind, Permit};
use tokio::time::timeout_at;

use crate::activity::Activity;
use crate::failure::Failure;
use crate::status::Contract;

/// Room made for a body before its bytes are there: the rest only follows once so much has come.
const FIRST_ROOM: usize = 1 << 20;

/// What the binary part of a body is aligned to, so that a request which runs alone is not copied once more.
const ALIGNMENT: usize = 64;

/// An unread body up to this size is read and thrown away, which keeps the connection; and for so long.
const WORTH_DISCARDING: u64 = 64 * 1024;
const DISCARD_TIME: Duration = Duration::from_millis(100);

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub struct BodyBounds {
    pub max_bytes: usize,
    /// Where its binary part begins; 0 if it has none.
    pub binary_at: usize,
    pub received: Instant,
    pub until: Deadline,
    pub contract: Contract,
}

/// Why there is no body.
#[derive(Debug)]
pub enum Unreadable {
    Failed(Failure),
    /// The connection or the stream broke under it: nobody waits for an answer.
    Gone,
}

impl From<Failure> for Unreadable {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl BodyBounds {
    /// The size that the head declares, when it does.
    ///
    /// # Errors
    /// Over the limit already: refused before a byte is read.
    pub fn declared(&self, body: &Incoming) -> Result<Option<usize>, Failure> {
        let Some(declared) = body.size_hint().exact() else { return Ok(None) };
        usize::try_from(declared)
            .ok()
            .filter(|declared| *declared <= self.max_bytes)
            .map(Some)
            .ok_or_else(|| self.too_large(format_args!("{declared} bytes")))
    }

    fn too_large(&self, size: impl std::fmt::Display) -> Failure {
        let message =
            format!("request body of {size} exceeds the maximum of {} bytes", self.max_bytes);
        Failure::of(self.contract, Error::new(ErrorKind::TooLarge, message))
    }

    fn too_slow(&self) -> Failure {
        let allowed = self.until.left(self.received);
        let message = format!("the request body did not arrive within {allowed:?} of its head");
        let error = Error::new(ErrorKind::DeadlineExceeded, message);
        Failure::of(self.contract, error).with_status(StatusCode::REQUEST_TIMEOUT)
    }
}

/// Reads the whole body. What the head did not declare is added to the permit as it comes.
///
/// # Errors
/// Too large (413), too slow (408), no more bytes allowed in flight (429); or the caller is gone.
pub async fn read<P: Permit>(
    body: &mut Incoming,
    declared: Option<usize>,
    bounds: &BodyBounds,
    permit: &mut P,
) -> Result<Bytes, Unreadable> {
    let whole = pin!(collect(body, declared, bounds, permit));
    within(bounds.until.instant(), whole).await.unwrap_or_else(|| Err(bounds.too_slow().into()))
}

/// The future's output, or `None` when it is not there by then. Most bodies are here already, and only the
/// others are worth a timer.
pub async fn within<T>(until: Instant, mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(output) => Some(output),
        Poll::Pending => timeout_at(until.into(), future).await.ok(),
    }
}

async fn collect<P: Permit>(
    body: &mut Incoming,
    declared: Option<usize>,
    bounds: &BodyBounds,
    permit: &mut P,
) -> Result<Bytes, Unreadable> {
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    let append =
        |joined: &mut BytesMut, data: &[u8]| append(joined, data, declared, bounds.binary_at);
    let mut size = 0_usize;
    while let Some(frame) = next_frame(body).await {
        let Ok(data) = frame.map_err(|_| Unreadable::Gone)?.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size > bounds.max_bytes {
            return Err(bounds
                .too_large(format_args!("more than {} bytes", bounds.max_bytes))
                .into());
        }
        if declared.is_none() {
            permit.grow(data.len()).map_err(|error| Failure::of(bounds.contract, error))?;
        }
        match first.take() {
            None if joined.is_empty() => first = Some(data),
            None => append(&mut joined, &data),
            Some(head) => {
                append(&mut joined, &head);
                append(&mut joined, &data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}

/// A body of a declared length ends with its last byte: whoever asks hyper for more has to be polled again to
/// hear that there is none.
async fn next_frame(body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
    if body.is_end_stream() { None } else { body.frame().await }
}

/// Makes room for the declared size in two steps, so that an announcement alone costs little; room of an undeclared
/// size doubles.
pub fn append(joined: &mut BytesMut, data: &[u8], declared: Option<usize>, binary_at: usize) {
    let needed = joined.len() + data.len();
    if needed > joined.capacity() {
        let room = match declared {
            Some(declared) if needed <= FIRST_ROOM => declared.min(FIRST_ROOM),
            Some(declared) => declared,
            None => joined.capacity().saturating_mul(2),
        };
        let mut larger = aligned(room.max(needed), binary_at);
        larger.extend_from_slice(joined);
        *joined = larger;
    }
    joined.extend_from_slice(data);
}

/// Empty, with room for so many bytes, of which the one at `binary_at` will be aligned.
fn aligned(room: usize, binary_at: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(room + ALIGNMENT);
    let binary = bytes.as_ptr().addr().wrapping_add(binary_at);
    let padding = binary.wrapping_neg() % ALIGNMENT;
    bytes.resize(padding, 0);
    bytes.advance(padding);
    bytes
}

/// Disposes of a body that nobody will use. True when the connection can carry another request; else the
/// caller must be told that it closes. HTTP/2 streams take care of themselves.
pub async fn discard(mut body: Incoming, parts: &Parts, activity: &Activity) -> bool {
    if parts.version >= Version::HTTP_2 || body.is_end_stream() {
        return true;
    }
    let small = body.size_hint().exact().is_none_or(|bytes| bytes <= WORTH_DISCARDING);
    // Whoever waits for "100 Continue" has sent nothing, and reading would ask for it.
    let waits = parts.headers.contains_key(header::EXPECT);
    let whole = small
        && !waits
        && within(Instant::now() + DISCARD_TIME, pin!(read_away(&mut body))).await == Some(true);
    if !whole {
        activity.leave_body_unread();
    }
    whole
}

/// True when the end was reached.
async fn read_away(body: &mut Incoming) -> bool {
    let mut left = WORTH_DISCARDING;
    while let Some(frame) = next_frame(body).await {
        let Ok(frame) = frame else { return false };
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(rest) = left.checked_sub(bytes) else { return false };
        left = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_body_and_its_binary_part_is_aligned_however_it_grew() {
        for (size, declared) in
            [(700, true), (700, false), (FIRST_ROOM * 5 / 2, true), (FIRST_ROOM * 5 / 2, false)]
        {
            let body: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            for binary_at in [0, 1, 63, 64, 187] {
                let mut joined = BytesMut::new();
                for piece in body.chunks(body.len() / 7) {
                    append(&mut joined, piece, declared.then_some(size), binary_at);
                }
                assert_eq!(joined, body);
                assert!(joined[binary_at..].as_ptr().addr().is_multiple_of(ALIGNMENT));
            }
        }
    }

    #[test]
    fn an_announcement_alone_makes_little_room() {
        let mut joined = BytesMut::new();
        append(&mut joined, b"{", Some(1 << 40), 0);
        assert!(joined.capacity() <= FIRST_ROOM + ALIGNMENT);
    }
}
