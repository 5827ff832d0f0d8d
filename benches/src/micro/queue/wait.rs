//! Waiting in the two ways that occur here: spinning politely, and parking until a waker unparks.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Asks until there is something, letting others run in between: with more threads than cores, whoever
/// spins keeps the one that it waits for from running.
pub fn insist<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = ask() {
            return found;
        }
        thread::yield_now();
    }
}

/// Parks until ready.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = unparker();
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// [`block_on`] for what is polled by a method.
pub fn block_on_poll<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    block_on(poll_fn(poll))
}

/// Wakes the thread that asks for it.
pub fn unparker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
