//! The announcement that the process is leaving. Made once, heard by everyone who holds a clone:
//! readiness probes turn false, the accept loop stops, connections finish what they have.
//!
//! It carries no grace period and ends nothing by force; that is up to whoever began it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Announcement>);

#[derive(Debug, Default)]
struct Announcement {
    made: AtomicBool,
    heard: Notify,
}

impl Drain {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn begin(&self) {
        // Release pairs with the acquire of `is_draining`: what was done before is seen after.
        self.0.made.store(true, Ordering::Release);
        self.0.heard.notify_waiters();
    }

    pub fn is_draining(&self) -> bool {
        self.0.made.load(Ordering::Acquire)
    }

    /// Waits until [`Drain::begin`] is called; returns at once when it was already.
    pub async fn begun(&self) {
        let mut heard = std::pin::pin!(self.0.heard.notified());
        // Enlist first, look second: an announcement in between is not missed.
        heard.as_mut().enable();
        if !self.is_draining() {
            heard.await;
        }
    }

    /// An ear for a task that polls often.
    pub(crate) fn listener(&self) -> DrainListener {
        let drain = self.clone();
        let begun = {
            let drain = drain.clone();
            async move { drain.begun().await }
        };
        DrainListener { drain, begun: Box::pin(begun), enlisted: None }
    }
}

/// Polling a `Notified` takes a lock that all connections share, and a connection is polled several times a
/// request. So this one enlists once a waker and afterwards reads only the flag.
pub(crate) struct DrainListener {
    drain: Drain,
    begun: Pin<Box<dyn Future<Output = ()> + Send>>,
    enlisted: Option<Waker>,
}

impl DrainListener {
    pub fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.drain.is_draining() {
            return Poll::Ready(());
        }
        if self.enlisted.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.enlisted = Some(cx.waker().clone());
        self.begun.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn everyone_hears_it_before_and_after() {
        let drain = Drain::new();
        assert!(!drain.is_draining());
        let early = tokio::spawn({
            let drain = drain.clone();
            async move { drain.begun().await }
        });
        let mut listener = drain.listener();
        let ear = tokio::spawn(async move { poll_fn(|cx| listener.poll_begun(cx)).await });
        tokio::task::yield_now().await;
        drain.begin();
        early.await.unwrap();
        ear.await.unwrap();
        drain.begun().await;
        assert!(drain.is_draining());
    }
}
