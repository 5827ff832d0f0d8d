//! What the mock was told, and what it remembers. Changed by tests, read by every run.

use std::sync::Arc;

use tidegate_batcher::TensorView;

use super::Run;

pub type Predicate = dyn Fn(&[TensorView<'_>]) -> bool + Send + Sync;

#[derive(Default)]
pub struct Script {
    pub held: bool,
    /// Runs that may go while the gate is held.
    pub released: usize,
    /// Runs that stand at the gate.
    pub waiting: usize,
    pub fails: Option<Arc<Predicate>>,
    pub panics: Option<Arc<Predicate>>,
    pub hangs: Option<Arc<Predicate>>,
    pub ignores_termination: bool,
    /// Runs that began to hang.
    pub hung: usize,
    /// How often the script ended all that hung.
    pub hangs_ended: usize,
    /// Rows for which there is memory; `None`: any number.
    pub memory_for: Option<usize>,
    pub refuses_to_load: Option<String>,
    pub runs: Vec<Run>,
    pub rebuilt: usize,
}

/// What one run is to do.
pub struct Conduct {
    pub fails: Option<Arc<Predicate>>,
    pub panics: Option<Arc<Predicate>>,
    pub hangs: Option<Arc<Predicate>>,
    pub memory_for: Option<usize>,
}

impl Script {
    pub fn conduct(&self) -> Conduct {
        Conduct {
            fails: self.fails.clone(),
            panics: self.panics.clone(),
            hangs: self.hangs.clone(),
            memory_for: self.memory_for,
        }
    }
}
