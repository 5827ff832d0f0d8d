//! How a loaded version is run, for whoever asks for a model's configuration: plain facts, in no format.

use std::time::Duration;

use crate::VersionPolicy;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionDescription {
    /// The most rows that are run at once, where all tensors have their rows along the first axis. Else 0:
    /// then there is no batch dimension to speak of.
    pub max_batch_size: usize,
    /// None: each request runs alone.
    pub shared_batches: Option<SharedBatches>,
    /// Requests that may wait.
    pub max_queue_size: usize,
    /// Loaded copies.
    pub instances: usize,
    /// Which of the model's versions are served.
    pub version_policy: VersionPolicy,
}

/// How requests come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedBatches {
    /// A batch of so many rows goes at once. None: the gateway decides.
    pub batch_size: Option<usize>,
    pub max_queue_delay: Duration,
}
