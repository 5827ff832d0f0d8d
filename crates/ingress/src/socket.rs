//! A stream that counts what it reads, gives up on a caller that does not read its answer, and closes
//! with care when a request was answered before its body had come in.
//!
//! The care: closing a socket with unread bytes in it makes the kernel send a reset, and a reset can
//! overtake the answer. A caller that is still sending 100 MB would see "connection reset" instead of the
//! 413 that explains it. So what still comes is read and thrown away, for a short while.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep, timeout};

use crate::activity::Activity;
use crate::stream::Stream;

/// How long a socket may linger for bytes that nobody wants.
const LINGER: Duration = Duration::from_secs(2);

pub struct Socket {
    /// Gone only while dropping.
    stream: Option<Stream>,
    activity: Arc<Activity>,
    write_timeout: Duration,
    /// Runs while a write makes no progress.
    stalled: Option<Pin<Box<Sleep>>>,
    /// One of the connections that may be open; lives as long as the socket, lingering included.
    place: Option<OwnedSemaphorePermit>,
}

impl Socket {
    pub fn new(
        stream: Stream,
        activity: Arc<Activity>,
        write_timeout: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { stream: Some(stream), activity, write_timeout, stalled: None, place: Some(place) }
    }

    fn stream(&mut self) -> Pin<&mut Stream> {
        Pin::new(self.stream.as_mut().expect("taken only by drop"))
    }

    /// Passes a write's result on, unless it has been pending for too long.
    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let wait = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(wait)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the caller does not read its answer",
        )))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = self.stream().poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            self.activity.read(read);
        }
        result
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream().poll_write(cx, buf);
        self.watched(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream().poll_write_vectored(cx, bufs);
        self.watched(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.activity.has_unread_body() {
            return;
        }
        let (Some(stream), place) = (self.stream.take(), self.place.take()) else { return };
        // Without a runtime (it is being torn down) the socket just closes.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                linger(stream).await;
                drop(place);
            });
        }
    }
}

/// Reads and discards until the caller is done or the time is up. The sending side is closed already.
pub async fn linger(mut stream: Stream) {
    let discard = async {
        let mut scratch = [0; 8 * 1024];
        while matches!(stream.read(&mut scratch).await, Ok(read) if read > 0) {}
    };
    // Out of time is as good as done: the caller had its chance to read the answer.
    let _ = timeout(LINGER, discard).await;
}
