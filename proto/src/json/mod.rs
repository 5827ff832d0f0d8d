//! JSON, as the three HTTP formats need it: a pull reader that tensors are read with straight into
//! their typed buffers, and a writer that floats come out of as short as they can be read back.
//!
//! There is no document here to look around in. What a format wants to read late, it comes back to
//! with a copy of the cursor.

mod error;
mod layout;
mod members;
mod number;
mod reader;
mod run;
mod tensor;
mod writer;

pub(crate) use error::JsonError;
pub use members::{members, value_length};
pub(crate) use reader::{Kind, Reader, Result};
pub(crate) use tensor::{TensorReader, Text};
pub(crate) use writer::*;

/// What a JSON body may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// Arrays and objects inside one another. Reading is recursive, so more than
    /// [`JsonLimits::MAX_DEPTH`] is never allowed.
    pub max_depth: usize,
}

impl JsonLimits {
    /// A few hundred bytes of stack each fit into any thread's.
    pub const MAX_DEPTH: usize = 1000;
}

impl Default for JsonLimits {
    /// Triton's limit.
    fn default() -> Self {
        Self { max_depth: 100 }
    }
}
