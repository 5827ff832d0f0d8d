//! What is counted for one version when execution goes wrong: reruns, culprits, hangs, rebuilt instances.
//! Beside the counters of the usual way, so that those stay on one page.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::families::{Families, ModelLabels};

#[derive(Debug)]
pub struct FaultMetrics {
    isolation_runs: Counter,
    poisoned_requests: Counter,
    out_of_memory: Counter,
    watchdog_terminations: Counter,
    /// In the order of [`RebuildReason::ALL`].
    instance_rebuilds: [Counter; RebuildReason::ALL.len()],
    stuck_threads: Gauge,
}

/// Why an instance was made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildReason {
    /// The engine panicked in it.
    Panic,
    /// A run was told to end, and did.
    Hang,
    /// A run was told to end, and did not: its thread was given up with it.
    Stuck,
    /// The probe failed on it.
    Broken,
}

impl RebuildReason {
    pub const ALL: [Self; 4] = [Self::Panic, Self::Hang, Self::Stuck, Self::Broken];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Hang => "hang",
            Self::Stuck => "stuck",
            Self::Broken => "broken",
        }
    }
}

impl FaultMetrics {
    pub(crate) fn new(families: &Families, labels: &ModelLabels) -> Self {
        Self {
            isolation_runs: families.isolation_runs.get_or_create_owned(labels),
            poisoned_requests: families.poisoned_requests.get_or_create_owned(labels),
            out_of_memory: families.out_of_memory.get_or_create_owned(labels),
            watchdog_terminations: families.watchdog_terminations.get_or_create_owned(labels),
            instance_rebuilds: RebuildReason::ALL.map(|reason| {
                let word = [("reason", reason.as_str())];
                families.instance_rebuilds.get_or_create_owned(&(labels.clone(), word))
            }),
            stuck_threads: families.stuck_threads.get_or_create_owned(labels),
        }
    }

    /// A part of a failed batch was run again.
    pub fn isolation_run(&self) {
        self.isolation_runs.inc();
    }

    /// A request failed alone.
    pub fn poisoned_request(&self) {
        self.poisoned_requests.inc();
    }

    pub fn out_of_memory(&self) {
        self.out_of_memory.inc();
    }

    /// A run was told to end.
    pub fn terminated(&self) {
        self.watchdog_terminations.inc();
    }

    pub fn rebuilt(&self, reason: RebuildReason) {
        self.instance_rebuilds[reason as usize].inc();
    }

    /// So many threads are stuck now.
    pub fn set_stuck_threads(&self, threads: usize) {
        self.stuck_threads.set(i64::try_from(threads).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_index_their_own_counters() {
        for (index, reason) in RebuildReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
