//! Ctrl-C: the first ends the run early, and what was measured is shown; the second ends the program.

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
                while tokio::signal::ctrl_c().await.is_ok() {
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
