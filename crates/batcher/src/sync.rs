//! The atomics and the ring, exchanged for loom's under `--cfg loom` so that the close-and-wake
//! protocol is checked under every interleaving. The ring itself is crossbeam's and tested there:
//! the model stands in a plain locked deque for it.

#[cfg(not(loom))]
pub(crate) use {
    crossbeam::queue::ArrayQueue as Ring,
    std::sync::Mutex,
    std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(loom)]
pub(crate) use {
    loom::sync::Mutex,
    loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence},
    ring::Ring,
};

#[cfg(loom)]
mod ring {
    use std::collections::VecDeque;

    use loom::sync::Mutex;

    pub(crate) struct Ring<T> {
        items: Mutex<VecDeque<T>>,
        capacity: usize,
    }

    impl<T> Ring<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            Self { items: Mutex::new(VecDeque::new()), capacity }
        }

        pub(crate) fn push(&self, item: T) -> Result<(), T> {
            let mut items = self.items.lock().unwrap();
            if items.len() == self.capacity {
                return Err(item);
            }
            items.push_back(item);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.items.lock().unwrap().pop_front()
        }
    }
}
