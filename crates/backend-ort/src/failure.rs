//! What ONNX Runtime says when a run fails, as a failure that a worker can act on.
//!
//! A failed allocation has no error code of its own: it is told by the text. The first three are the
//! arena's and the plain allocator's, the others what the C++ library throws.

use tidegate_backend::RunFailure;
use tidegate_inference::{Error, ErrorKind};

use crate::message::plain;

const OUT_OF_MEMORY: [&str; 6] = [
    "Failed to allocate memory",
    "BFCArena",
    "Available memory of",
    "bad_alloc",
    "bad allocation",
    "Cannot allocate memory",
];

pub(crate) fn failure(error: ort::Error) -> RunFailure {
    of_message(error.message())
}

fn of_message(message: &str) -> RunFailure {
    let error = Error::new(ErrorKind::ModelFailed, plain(message));
    if OUT_OF_MEMORY.iter().any(|sign| message.contains(sign)) {
        RunFailure::OutOfMemory(error)
    } else {
        RunFailure::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_allocation_is_told_from_a_failed_model() {
        for said in [
            "Non-zero status code returned while running Conv node. Name:'c' Status Message: \
             /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:408 void* onnxruntime::\
             BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested \
             buffer of size 4294967296",
            "Non-zero status code returned while running Expand node. Name:'e' Status Message: \
             std::bad_alloc",
        ] {
            assert!(matches!(of_message(said), RunFailure::OutOfMemory(_)), "{said}");
        }
        for said in [
            "Non-zero status code returned while running Gather node. Name:'g' Status Message: \
             indices element out of data bounds, idx=8 must be within the inclusive range [-8,7]",
            "Exiting due to terminate flag being set to true.",
        ] {
            assert!(matches!(of_message(said), RunFailure::Failed(_)), "{said}");
        }
    }
}
