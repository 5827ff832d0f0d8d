//! The listening end: accepts, keeps the number of connections within its limit, whichever listener they came
//! by, and leaves in order.
//!
//! Over the limit a connection is accepted, told 503 and closed. To stop accepting instead would leave
//! callers, and probes among them, waiting in the kernel's backlog for an answer that says nothing.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tidegate_inference::{Admission, ErrorKind};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::connection;
use crate::listen::{Listener, Listeners};
use crate::socket::linger;
use crate::stream::{Detached, Stream};
use crate::{Drain, Ingress, IoThreads};

/// Connections that are being told at the same time that there are too many; the others are just closed.
const REFUSALS: usize = 256;
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// After a failed accept, most likely for want of file descriptors: trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    content-length: 32\r\nretry-after: 1\r\nconnection: close\r\n\r\n{\"error\":\"too many connections\"}";

impl<A: Admission> Ingress<A> {
    /// Serves on these threads until the drain begins, then until every request is answered and every
    /// connection closed.
    pub async fn serve(self: Arc<Self>, listeners: Vec<Listener>, threads: IoThreads) {
        let mut listeners = Listeners::new(listeners);
        let limit = self.config.max_connections.get().min(u32::MAX as usize);
        let gate = Gate {
            places: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            threads,
        };
        while let Some(accepted) = accept(&mut listeners, &self.drain).await {
            match accepted {
                Ok(stream) => gate.open(&self, stream),
                Err(error) if concerns_one_caller(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again shortly");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Who had connected before the drain is not turned away by it.
        while let Some(Ok(stream)) =
            poll_fn(|cx| Poll::Ready(ready(listeners.poll_accept(cx)))).await
        {
            gate.open(&self, stream);
        }
        drop(listeners);
        let everyone = u32::try_from(limit).unwrap_or(u32::MAX);
        let _all = gate.places.acquire_many(everyone).await.expect("never closed");
    }
}

/// Who may come in.
struct Gate {
    /// One for each open connection; all of them back means that all are closed.
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    threads: IoThreads,
}

impl Gate {
    fn open<A: Admission>(&self, ingress: &Arc<Ingress<A>>, stream: Stream) {
        stream.send_at_once();
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                // From here on it belongs to another runtime, which has to be told of it anew. Where that
                // fails, the connection closes.
                let (ingress, stream) = (Arc::clone(ingress), stream.detach());
                self.threads.spawn(async move {
                    if let Ok(stream) = stream.and_then(Detached::attach) {
                        connection::drive(ingress, stream, place).await;
                    }
                });
            }
            Err(_) => {
                ingress.telemetry.refused("http", ErrorKind::Overloaded);
                self.refuse(stream);
            }
        }
    }

    fn refuse(&self, mut stream: Stream) {
        let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let tell = async {
                stream.write_all(TOO_MANY).await?;
                stream.shutdown().await
            };
            if let Ok(Ok(())) = timeout(REFUSAL_TIME, tell).await {
                linger(stream).await;
            }
            drop(turn);
        });
    }
}

/// `None` when the drain has begun.
async fn accept(listeners: &mut Listeners, drain: &Drain) -> Option<io::Result<Stream>> {
    tokio::select! {
        biased;
        () = drain.begun() => None,
        accepted = poll_fn(|cx| listeners.poll_accept(cx)) => Some(accepted),
    }
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A caller that left before it was accepted says nothing about the next one.
fn concerns_one_caller(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
