//! The way into the batcher: bounded, lock-free, from many producers to the one leader of the
//! moment, with a protocol for closing and for waking.
//!
//! Three words of memory carry it:
//!
//! - `slots` counts the places taken, with the top bit set once closed. A producer takes its place
//!   here before it pushes, in one atomic step that also refuses when full or closed; the place is
//!   given back only when the batcher lets the item go. So "closed and no place taken" means that
//!   nobody is inside, nobody can come in, and nothing can be left behind in the ring.
//! - `pushed` is the number of rows ever pushed. It only grows.
//! - `wake_at` is the value of `pushed` for which the sleeping leader wants to be woken, or [`AWAKE`].
//!   A leader that waits for five more rows is therefore not woken five times.
//!
//! The wake-up is Dekker's: the producer writes `pushed`, then reads `wake_at`; the leader writes
//! `wake_at`, then reads `pushed`; a sequentially consistent fence stands between the two steps on
//! each side. Of the two fences one comes first, and whoever comes second sees what the other wrote,
//! so a leader cannot fall asleep on rows that nobody will wake it for. `tests/loom.rs` checks this
//! under all interleavings, and checks that it fails when the producer's fence is taken out.

use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::burst;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, Ring, fence};

/// `wake_at` of a leader that does not sleep.
const AWAKE: u64 = u64::MAX;

/// The bit of `slots` that says closed.
const CLOSED: usize = 1 << (usize::BITS - 1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    Full,
    Closed,
}

pub struct Arrivals<T> {
    ring: Ring<T>,
    capacity: usize,
    slots: AtomicUsize,
    pushed: AtomicU64,
    wake_at: AtomicU64,
    sleeper: Mutex<Option<Waker>>,
    sweep: OnceLock<Sweep>,
    #[cfg(loom)]
    fenced: bool,
}

/// What is tried before a full queue refuses: true when the queue was searched.
pub type Sweep = Box<dyn Fn(Instant) -> bool + Send + Sync>;

impl<T> Arrivals<T> {
    pub fn new(capacity: usize) -> Self {
        Self {
            ring: Ring::new(capacity),
            capacity,
            slots: AtomicUsize::new(0),
            pushed: AtomicU64::new(0),
            wake_at: AtomicU64::new(AWAKE),
            sleeper: Mutex::new(None),
            sweep: OnceLock::new(),
            #[cfg(loom)]
            fenced: true,
        }
    }

    /// The negative control of the loom models: a producer without its fence.
    #[cfg(loom)]
    pub fn without_the_producers_fence(capacity: usize) -> Self {
        Self { fenced: false, ..Self::new(capacity) }
    }

    /// Takes `count` places, all or none.
    ///
    /// # Errors
    /// When closed, or when fewer than `count` places are free.
    pub fn reserve(&self, count: usize) -> Result<(), PushError> {
        // Acquire: pairs with the release in `release`, so that a place that was given back is
        // really free in the ring.
        self.slots
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |slots| {
                let fits = slots & CLOSED == 0 && self.capacity - slots >= count;
                fits.then(|| slots + count)
            })
            .map(|_| ())
            .map_err(|slots| if slots & CLOSED == 0 { PushError::Full } else { PushError::Closed })
    }

    /// Pushes an item of `rows` rows into a place reserved before, and wakes the leader if these
    /// rows are what it waits for.
    pub fn push(&self, item: T, rows: usize) {
        let pushed = self.ring.push(item).is_ok();
        debug_assert!(pushed, "a place was reserved, and the ring has as many as there are places");
        // Relaxed: the item itself is published by the ring; this counter only decides about waking.
        let total = self.pushed.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        self.producers_fence();
        if total >= self.wake_at.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Pairs with the fence in [`Arrivals::poll_pushed`].
    fn producers_fence(&self) {
        #[cfg(loom)]
        if !self.fenced {
            return;
        }
        fence(Ordering::SeqCst);
    }

    /// Sets, once, what may make room when there is none.
    pub fn on_full(&self, sweep: Sweep) {
        let first = self.sweep.set(sweep).is_ok();
        debug_assert!(first, "a queue has one batcher, which belongs to one group");
    }

    /// Tries to make room; true when the queue was searched.
    pub fn sweep(&self, now: Instant) -> bool {
        self.sweep.get().is_some_and(|sweep| sweep(now))
    }

    /// Rows ever pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Relaxed)
    }

    /// The next item, for the leader. Its place stays taken until [`Arrivals::release`].
    pub fn pop(&self) -> Option<T> {
        self.ring.pop()
    }

    /// Gives places back, for the leader.
    pub fn release(&self, count: usize) {
        self.slots.fetch_sub(count, Ordering::Release);
    }

    /// Refuses every later item; what is inside is still handed out.
    pub fn close(&self) {
        self.slots.fetch_or(CLOSED, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.wake();
    }

    pub fn is_closed(&self) -> bool {
        self.slots.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Places taken: items in the ring, or held by the batcher.
    pub fn len(&self) -> usize {
        self.slots.load(Ordering::Acquire) & !CLOSED
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closed, and nothing is inside or can still come.
    pub fn is_finished(&self) -> bool {
        self.slots.load(Ordering::Acquire) == CLOSED
    }

    /// For the leader: ready once `wake_at` rows were ever pushed, or on closing when
    /// `unless_closed` is false (a leader that already knows of the closing waits for rows alone).
    pub fn poll_pushed(
        &self,
        context: &mut Context<'_>,
        wake_at: u64,
        knows_closed: bool,
    ) -> Poll<()> {
        let mut sleeper = self.sleeper.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &mut *sleeper {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        drop(sleeper);
        // Every write to `wake_at` is a read-modify-write that acquires and releases, so the writes
        // form one chain: whoever finds this mark finds the waker that was put there before it.
        self.wake_at.swap(wake_at, Ordering::AcqRel);
        // Pairs with the fences in `push` and `close`.
        fence(Ordering::SeqCst);
        let arrived = self.pushed.load(Ordering::Relaxed) >= wake_at;
        if arrived || (!knows_closed && self.is_closed()) {
            self.awake();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// For a leader that wakes by its own timer: producers need not ring any more.
    pub fn awake(&self) {
        // Relaxed: only a leader writes anything else than `AWAKE`, and there is one leader.
        if self.wake_at.load(Ordering::Relaxed) != AWAKE {
            self.wake_at.swap(AWAKE, Ordering::AcqRel);
        }
    }

    /// Of several producers that reach the mark together, one rings.
    #[cold]
    fn wake(&self) {
        if self.wake_at.swap(AWAKE, Ordering::AcqRel) == AWAKE {
            return;
        }
        let sleeper = self.sleeper.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(waker) = sleeper {
            burst::wake(waker);
        }
    }
}
