//! Request bodies: whole, as nearly always, or a piece at a time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// Pieces of a body that is sent slowly.
const PIECES: usize = 10;

pub enum RequestBody {
    Whole(Option<Bytes>),
    Slow(Slow),
}

pub struct Slow {
    left: Bytes,
    piece: usize,
    pause: Duration,
    next: Pin<Box<Sleep>>,
}

impl RequestBody {
    /// The first piece leaves at once, the last after `over`.
    pub fn slow(body: Bytes, over: Duration) -> Self {
        let piece = body.len().div_ceil(PIECES).max(1);
        let pieces = body.len().div_ceil(piece).max(2);
        let pause = over / u32::try_from(pieces - 1).expect("there are at most ten");
        Self::Slow(Slow { left: body, piece, pause, next: Box::pin(sleep_until(Instant::now())) })
    }

    fn left(&self) -> usize {
        match self {
            Self::Whole(body) => body.as_ref().map_or(0, Bytes::len),
            Self::Slow(slow) => slow.left.len(),
        }
    }
}

impl From<Bytes> for RequestBody {
    fn from(body: Bytes) -> Self {
        Self::Whole((!body.is_empty()).then_some(body))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Slow(slow) if slow.left.is_empty() => Poll::Ready(None),
            Self::Slow(slow) => slow.next.as_mut().poll(cx).map(|()| {
                let piece = slow.left.split_to(slow.piece.min(slow.left.len()));
                slow.next.as_mut().reset(Instant::now() + slow.pause);
                Some(Ok(Frame::data(piece)))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_whole_in_the_end_and_takes_its_time() {
        for length in [0, 1, 7, 10, 1000] {
            let start = Instant::now();
            let body = Bytes::from(vec![7; length]);
            let slow = RequestBody::slow(body.clone(), Duration::from_secs(9));
            assert_eq!(slow.collect().await.unwrap().to_bytes(), body);
            let took = start.elapsed().as_secs_f64();
            let expected = if length > 1 { 9.0 } else { 0.0 };
            assert!((took - expected).abs() < 0.1, "{length} bytes took {took} s");
        }
    }
}
