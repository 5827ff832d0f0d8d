//! Finds ONNX Runtime's shared library and makes sure that opening it is safe.
//!
//! The surprising thing is how careful one has to be *before* `dlopen`: a truncated library does not
//! fail to open, it kills the process with SIGBUS while it is being mapped, when no error message is
//! possible any more. So a file of the pinned version must have its pinned sha256, and a file of
//! another version, which is opened only when it was named explicitly, must at least be as long as
//! its own headers say.

mod elf;
mod pin;
mod search;
mod verify;

pub use pin::PINNED_VERSION;
pub use search::Found;
pub use search::LibrarySearch;
pub(crate) use verify::{Trust, verify};

use std::io;
use std::path::PathBuf;

/// Why ONNX Runtime cannot be used. Each text says what is wrong, where, and what mends it.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error(
        "ONNX Runtime's shared library {file_name} was not found; looked at:\n{}\n\
         run `make onnxruntime` to provide it, or name another one in ORT_DYLIB_PATH",
        list(.looked_at)
    )]
    Missing { file_name: &'static str, looked_at: Vec<PathBuf> },
    #[error(
        "ONNX Runtime's shared library {path} does not exist; correct ORT_DYLIB_PATH or \
         `onnxruntime.library` in the configuration, or unset it and run `make onnxruntime`"
    )]
    ExplicitMissing { path: PathBuf },
    #[error("cannot read ONNX Runtime's shared library {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{path} is not ONNX Runtime {PINNED_VERSION} as it was published: expected sha256 \
         {expected}, found {found}; it may be a broken download: run `make onnxruntime` to fetch it \
         again (to use another build of this version on purpose, give its file another name)"
    )]
    WrongHash { path: PathBuf, expected: &'static str, found: String },
    #[error(
        "{path} is not a complete shared library: {reason}; opening it could kill the process: \
         fetch it again"
    )]
    Incomplete { path: PathBuf, reason: String },
    #[error("cannot open ONNX Runtime's shared library {path}: {reason}")]
    Refused { path: PathBuf, reason: String },
    #[error(
        "ONNX Runtime's telemetry is not switched off: {variable} must be 1 in the environment \
         before the library is opened (call `tidegate_backend_ort::disable_telemetry` first)"
    )]
    TelemetryOn { variable: &'static str },
    #[error("ONNX Runtime did not start: {reason}")]
    NotStarted { reason: String },
}

fn list(paths: &[PathBuf]) -> String {
    let lines: Vec<String> = paths.iter().map(|path| format!("  {}", path.display())).collect();
    lines.join("\n")
}
