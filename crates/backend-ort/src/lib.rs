//! Runs batches on ONNX Runtime; the only crate that knows it.
//!
//! The shared library is opened at run time, not linked: without it the program still starts, says
//! what is missing and how to mend it. Inputs are handed over as borrowed views of the worker's own
//! buffers and outputs are shared, not copied.
//!
//! In `main`, in this order: [`disable_telemetry`] before any thread starts, [`OrtRuntime::open`],
//! [`OrtBackend::new`]; at the end, join every worker before returning.

mod arena;
mod backend;
mod failure;
mod input;
mod library;
mod message;
mod output;
mod refusal;
mod runtime;
mod signature;

pub use backend::OrtBackend;
pub use library::{Found, LibraryError, LibrarySearch, PINNED_VERSION};
pub use runtime::{OrtRuntime, disable_telemetry};
