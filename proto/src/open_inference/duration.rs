//! Triton's `$duration_stat`: a total as it stands in JSON.

use serde::{Deserialize, Serialize};
use tidegate_inference::Total;

/// What is left out is nothing.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Duration {
    count: u64,
    ns: u64,
}

impl From<Total> for Duration {
    fn from(total: Total) -> Self {
        Self { count: total.count, ns: total.ns }
    }
}

impl From<Duration> for Total {
    fn from(duration: Duration) -> Self {
        Self { count: duration.count, ns: duration.ns }
    }
}
