//! Ctrl-C or SIGTERM: the first ends the run early, and what was measured is shown; the second ends the program.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// As shells have it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on, for the rest of the program's life. Without it Ctrl-C just ends the program.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let seen = interrupt.clone();
        let listening = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                while asked_to_stop().await {
                    if seen.0.swap(true, Ordering::Relaxed) {
                        std::process::exit(INTERRUPTED);
                    }
                }
            });
        };
        // Best effort: where there is no thread to be had, the signal keeps its default effect.
        let _ = thread::Builder::new().name("interrupt".to_owned()).spawn(listening);
        interrupt
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For whoever watches a drive.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// False when there are no signals to be had.
#[cfg(unix)]
async fn asked_to_stop() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return false };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.is_ok(),
        terminated = terminate.recv() => terminated.is_some(),
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
