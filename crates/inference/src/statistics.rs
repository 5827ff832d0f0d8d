//! What a version has done since the gateway started, as Triton's statistics extension asks: how many, how
//! often, and how long in all.
//!
//! Readers take the difference of two looks, so everything here only ever grows. The times of a batch are charged
//! to each of its requests, as each of them waited for all of it; what the batch itself took stands in `batches`.

use std::time::Duration;

/// How often something was done, and how long it took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    pub count: u64,
    pub ns: u64,
}

impl Total {
    /// It was done once more.
    pub fn add(&mut self, took: Duration) {
        self.count += 1;
        self.ns = self.ns.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// Of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When a batch was last executed, in milliseconds since 1970; 0 when none ever was.
    pub last_inference: u64,
    /// Rows of the requests that ended in a response.
    pub inference_count: u64,
    /// Batches that were executed.
    pub execution_count: u64,
    /// Requests that ended in a response, from when they were read whole until their answer was written.
    pub success: Total,
    /// Requests that ended otherwise, from when their head was read.
    pub fail: Total,
    /// These four are of the requests that ended in a response. Together they are `success` less what lies between
    /// reading a request and queueing it, and between having its rows and writing them down.
    pub queue: Total,
    pub compute_input: Total,
    pub compute_infer: Total,
    pub compute_output: Total,
    /// By the rows of the batch, the fewest first.
    pub batches: Vec<BatchStatistics>,
}

/// Of all batches of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchStatistics {
    pub rows: u64,
    pub compute_input: Total,
    pub compute_infer: Total,
    pub compute_output: Total,
}
