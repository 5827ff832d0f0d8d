//! The threads that drive connections. Each has a runtime of its own, and a connection stays with the thread
//! that it was given to: the one with the fewest, at the time.
//!
//! With one runtime for all of them, a task that wakes itself (hyper's do, with every request) makes another
//! thread look for work, which costs a lone caller a fifth of its CPU time. What work stealing is good for,
//! a few tasks that keep one thread busy while others idle, does not happen here: large bodies are decoded
//! elsewhere, and models run elsewhere. But one HTTP/2 connection gets no more than one thread.
//!
//! More threads than are busy do harm: requests of one thread share their wake-ups in both directions, and of two
//! callers there is little to share. Sixteen threads took twice the CPU of two for the same 32 callers.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use hyper::rt::Executor;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::mailbox::{Gathered, Mailbox};

/// Polls of tasks in one round, at most. A round is what requests are gathered for, and what others may have
/// to wait for: a third of a millisecond.
const ROUND: u32 = 31;

/// A thread carries some 60,000 small requests a second, so these carry a million.
const MOST: usize = 16;

/// What is done on the threads beside driving connections, for whoever is told of requests by them.
#[derive(Clone)]
pub struct Rounds {
    /// Once, as the first thing on each thread; the waker asks for `end`, from that thread.
    pub begin: Arc<dyn Fn(Waker) + Send + Sync>,
    /// When the tasks of a round are through, if it was asked for.
    pub end: fn(),
}

/// Dropped, it ends the threads and whatever they still do.
pub struct IoThreads(Vec<IoThread>);

struct IoThread {
    runtime: Handle,
    mailbox: Arc<Mailbox>,
    connections: Arc<AtomicUsize>,
    /// Gone only while dropping.
    thread: Option<JoinHandle<()>>,
}

impl Rounds {
    /// For whoever is told of no requests.
    pub fn starting(begin: impl Fn() + Send + Sync + 'static) -> Self {
        Self { begin: Arc::new(move |_| begin()), end: || () }
    }
}

impl IoThreads {
    /// How many suit the cores that this process may use; affinity and a container's CPU quota count.
    pub fn usual_count() -> NonZeroUsize {
        suits(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// # Errors
    /// When the system has no thread left; those that were started have ended again by then.
    pub fn start(count: NonZeroUsize, rounds: Rounds) -> io::Result<Self> {
        let start = |number| IoThread::start(number, rounds.clone());
        (0..count.get()).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// Runs one connection's task on the least busy thread.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, connection: F) {
        let quietest =
            self.0.iter().min_by_key(|thread| thread.connections.load(Ordering::Relaxed));
        let thread = quietest.expect("started with at least one");
        let seat = Seat::take(&thread.connections);
        let seated = async move {
            connection.await;
            drop(seat);
        };
        thread.runtime.spawn(Gathered::new(seated, Arc::clone(&thread.mailbox)));
    }
}

/// Half of the cores, the others are the models'; two of two, because a core that idles helps nobody.
fn suits(cores: NonZeroUsize) -> NonZeroUsize {
    let half = NonZeroUsize::new((cores.get() / 2).clamp(2, MOST)).unwrap_or(NonZeroUsize::MIN);
    half.min(cores)
}

impl IoThread {
    fn start(number: usize, rounds: Rounds) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .event_interval(ROUND)
            .enable_all()
            .thread_name("tidegate-decode")
            .build()?;
        let mailbox = Arc::<Mailbox>::default();
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new().name(format!("tidegate-io-{number}")).spawn({
            let mailbox = Arc::clone(&mailbox);
            move || serve(runtime, &mailbox, &rounds)
        })?;
        Ok(Self { runtime: handle, mailbox, connections: Arc::default(), thread: Some(thread) })
    }
}

fn serve(runtime: Runtime, mailbox: &Arc<Mailbox>, rounds: &Rounds) {
    mailbox.stay();
    let (mut room, mut begun) = (Vec::new(), false);
    // The runtime polls this between two rounds, when it was woken.
    runtime.block_on(poll_fn(|cx| {
        if !std::mem::replace(&mut begun, true) {
            (rounds.begin)(cx.waker().clone());
        }
        (rounds.end)();
        mailbox.poll_keep(cx, &mut room)
    }));
    // Without waiting for large bodies that are still being decoded for nobody.
    runtime.shutdown_background();
}

impl Drop for IoThread {
    fn drop(&mut self) {
        self.mailbox.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("an I/O thread ended with a panic");
        }
    }
}

/// One connection of a thread; it counts until this is dropped.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    // Relaxed: the counter orders nothing but itself, and a number that is a moment old serves as well.
    fn take(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs the streams of an HTTP/2 connection beside it, on the same thread.
#[derive(Clone, Copy, Debug)]
pub struct Beside;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Beside {
    fn execute(&self, stream: F) {
        match Mailbox::here() {
            Some(mailbox) => drop(tokio::spawn(Gathered::new(stream, mailbox))),
            None => drop(tokio::spawn(stream)),
        }
    }
}

impl fmt::Debug for IoThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IoThreads").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn names(threads: &IoThreads, connections: usize) -> Vec<String> {
        let (tell, told) = mpsc::channel();
        for _ in 0..connections {
            let tell = tell.clone();
            threads.spawn(async move {
                let name = thread::current().name().map(str::to_owned);
                tell.send(name.unwrap()).unwrap();
                std::future::pending().await
            });
        }
        let mut names: Vec<String> = (0..connections).map(|_| told.recv().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn half_of_many_cores_serve_connections_and_all_of_few() {
        let of = |cores| suits(NonZeroUsize::new(cores).unwrap()).get();
        assert_eq!([1, 2, 3, 4, 8, 16, 64].map(of), [1, 2, 2, 2, 4, 8, 16]);
    }

    #[test]
    fn connections_are_divided_evenly() {
        let threads =
            IoThreads::start(NonZeroUsize::new(2).unwrap(), Rounds::starting(|| ())).unwrap();
        let (first, second) = ("tidegate-io-0", "tidegate-io-1");
        assert_eq!(names(&threads, 4), [first, first, second, second]);
    }

    #[test]
    fn what_still_runs_when_the_threads_end_is_dropped() {
        let threads = IoThreads::start(NonZeroUsize::MIN, Rounds::starting(|| ())).unwrap();
        let held = Arc::new(());
        let holds = Arc::clone(&held);
        threads.spawn(async move {
            std::future::pending::<()>().await;
            drop(holds);
        });
        drop(threads);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn a_task_is_woken_from_another_thread() {
        let threads = IoThreads::start(NonZeroUsize::MIN, Rounds::starting(|| ())).unwrap();
        let (ask, asked) = tokio::sync::oneshot::channel::<u32>();
        let (tell, told) = mpsc::channel();
        threads.spawn(async move { tell.send(asked.await.unwrap()).unwrap() });
        ask.send(7).unwrap();
        assert_eq!(told.recv(), Ok(7));
    }
}
