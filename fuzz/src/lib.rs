//! What all targets share: a signature to decode against, and the promise that is checked besides "no panic": a
//! decoder asks for no more memory than its input can account for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_inference::{DataType, Dim, Signature, TensorSpec};

/// Inputs of every datatype, one of them with two open dimensions.
pub fn signature() -> Signature {
    let spec = |datatype: DataType| TensorSpec {
        name: datatype.name().to_lowercase().into(),
        datatype,
        shape: vec![Dim::Dynamic, Dim::Fixed(2)],
    };
    let mut inputs: Vec<TensorSpec> = DataType::ALL.into_iter().map(spec).collect();
    inputs.push(TensorSpec {
        name: "x".into(),
        datatype: DataType::Fp32,
        shape: vec![Dim::Dynamic, Dim::Dynamic],
    });
    Signature { inputs: inputs.clone(), outputs: inputs }
}

/// With one input, which is what some forms need.
pub fn one_input() -> Signature {
    let mut signature = signature();
    signature.inputs.drain(..signature.inputs.len() - 1);
    signature
}

/// Runs a decoder and fails if at any time it held more than so many bytes and a little.
pub fn within_memory(bytes: usize, decode: impl FnOnce()) {
    const LITTLE: usize = 256 * 1024;
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    decode();
    let used = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(used <= bytes.saturating_add(LITTLE), "{used} bytes were held, {bytes} were allowed");
}

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts what is held. Each target runs on one thread, so the counters need no order.
struct Counting;

// SAFETY: all is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise about the layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about place and layout.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it is moved both are held.
        grow(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about place, layout and size.
        unsafe { System.realloc(place, layout, size) }
    }
}

fn grow(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(held, Ordering::Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
