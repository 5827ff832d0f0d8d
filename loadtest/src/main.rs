//! The `tidegate-loadtest` program. What it does is the library's; here is only what a program has once.

use std::process::ExitCode;

/// The generator allocates for every request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // SAFETY: nothing has started a thread yet.
    unsafe { tidegate_backend_ort::disable_telemetry() };
    tidegate_loadtest::cli::main()
}
