//! Threads that come with many requests at once ring for the leader once, when they are through.
//!
//! A thread that drives connections finds a handful of requests whenever it looks. If the first of them woke
//! the leader, that one would leave in a batch of its own while its neighbours are still being read, and the
//! thread would pay for a system call in between. So such a thread says at its start that it looks after
//! the bells itself, and rings them when it has nothing else to do. For a lone request that is at once.
//!
//! Surprising, for this crate: it keeps something in the thread. Whose burst it is, is known to the
//! thread alone, and a queue is entered far below whoever drives the connections.

use std::cell::RefCell;
use std::task::Waker;

thread_local! {
    static BURST: RefCell<Burst> = const { RefCell::new(Burst { keeper: None, bells: Vec::new() }) };
}

struct Burst {
    /// Reminds whoever rings; none on threads that do not.
    keeper: Option<Waker>,
    /// Leaders to be woken.
    bells: Vec<Waker>,
}

/// From now on the calling thread postpones its bells: `keeper` is woken when there is one, and has to see to it
/// that [`ring`] is called on this thread, and soon.
pub fn postpone(keeper: Waker) {
    BURST.with_borrow_mut(|burst| burst.keeper = Some(keeper));
}

/// Rings what the calling thread has postponed.
pub fn ring() {
    let bells = BURST.with_borrow_mut(|burst| std::mem::take(&mut burst.bells));
    bells.into_iter().for_each(Waker::wake);
}

/// Wakes a leader, now or when the calling thread's burst is over.
pub(crate) fn wake(leader: Waker) {
    let now = BURST.with_borrow_mut(|burst| {
        let Some(keeper) = &burst.keeper else { return Some(leader) };
        keeper.wake_by_ref();
        burst.bells.push(leader);
        None
    });
    if let Some(leader) = now {
        leader.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_thread_that_postpones_reminds_its_keeper_and_rings_when_told() {
        let (keeper, leader) = (Arc::<Woken>::default(), Arc::<Woken>::default());
        let woken = || (keeper.0.load(Ordering::Relaxed), leader.0.load(Ordering::Relaxed));
        wake(Arc::clone(&leader).into());
        assert_eq!(woken(), (0, 1), "at once, by default");
        postpone(Arc::clone(&keeper).into());
        wake(Arc::clone(&leader).into());
        assert_eq!(woken(), (1, 1));
        ring();
        ring();
        assert_eq!(woken(), (1, 2));
    }
}
