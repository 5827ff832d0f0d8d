//! An allocator that counts, for each thread, how often it was asked for memory. Giving memory back is
//! not counted: what is never taken is never given back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Neither initialised late nor dropped, so that the allocator may touch it at any time.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread has asked for memory so far.
pub fn allocations() -> usize {
    ASKED.get()
}

/// How often `work` asks for memory.
pub fn allocations_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = allocations();
    let result = work();
    (allocations() - before, result)
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    ASKED.set(ASKED.get() + 1);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[test]
fn the_counter_counts() {
    let (asked, _) = allocations_of(|| {
        let mut list = Vec::with_capacity(1);
        list.push(1_u8);
        list.reserve_exact(1000);
        list
    });
    assert_eq!(asked, 2);
}
