//! The process: its allocator, and what has to happen before its first thread. All else is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // SAFETY: nothing has started a thread yet.
    unsafe { tidegate_backend_ort::disable_telemetry() };
    tidegate_gateway::cli::main()
}
