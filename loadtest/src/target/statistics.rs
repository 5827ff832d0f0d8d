//! Triton's own count of what it did, read before and after a load. Most servers have none, and that is no news.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_inference::{Statistics, Total};

use super::format::Format;
use crate::engine::once;
use crate::figures::TritonStatistics;
use crate::load::{Endpoint, Transport};

/// How long a reading may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct StatisticsReader {
    pub(super) endpoint: Endpoint,
    pub(super) transport: Transport,
    pub(super) format: Arc<dyn Format>,
}

/// What a model had done at one time, all its versions together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatisticsReading {
    inference_count: u64,
    execution_count: u64,
    queue: Total,
    compute: Total,
    batches: BTreeMap<u64, u64>,
}

impl StatisticsReader {
    /// `None` when the server has no statistics, or does not answer.
    pub fn read(&self) -> Option<StatisticsReading> {
        let (method, request) = self.format.statistics_request()?;
        let answer = once(&self.endpoint, self.transport, method, &request, PATIENCE).ok()?;
        if self.format.refusal(&answer).is_some() {
            return None;
        }
        self.format.statistics(&answer).map(|versions| StatisticsReading::of(&versions))
    }
}

impl StatisticsReading {
    fn of(versions: &[Statistics]) -> Self {
        let mut sum = Self::default();
        for version in versions {
            sum.inference_count += version.inference_count;
            sum.execution_count += version.execution_count;
            add(&mut sum.queue, version.queue);
            add(&mut sum.compute, compute(version));
            for batches in &version.batches {
                *sum.batches.entry(batches.rows).or_default() += batches.compute_infer.count;
            }
        }
        sum
    }

    /// What was done since `before`; `None` when the server was restarted in between, or did nothing.
    pub fn since(&self, before: &Self) -> Option<TritonStatistics> {
        let inference_count = self.inference_count.checked_sub(before.inference_count)?;
        let execution_count = self.execution_count.checked_sub(before.execution_count)?;
        if execution_count == 0 {
            return None;
        }
        let batches = self.batches.iter().filter_map(|(rows, executions)| {
            let executions =
                executions.checked_sub(before.batches.get(rows).copied().unwrap_or(0))?;
            Some((u32::try_from(*rows).ok()?, executions)).filter(|(_, executions)| *executions > 0)
        });
        Some(TritonStatistics {
            inference_count,
            execution_count,
            queue_ms: mean_ms(before.queue, self.queue)?,
            compute_ms: mean_ms(before.compute, self.compute)?,
            batches: batches.collect(),
        })
    }
}

fn add(sum: &mut Total, part: Total) {
    sum.count = sum.count.saturating_add(part.count);
    sum.ns = sum.ns.saturating_add(part.ns);
}

/// Input, inference and output are parts of one thing: it was done once where each part was done once.
fn compute(version: &Statistics) -> Total {
    let parts = [version.compute_input, version.compute_infer, version.compute_output];
    let count = parts.iter().map(|part| part.count).max().unwrap_or(0);
    Total { count, ns: parts.iter().fold(0, |sum, part| sum.saturating_add(part.ns)) }
}

fn mean_ms(before: Total, after: Total) -> Option<f64> {
    let count = after.count.checked_sub(before.count)?;
    let ns = after.ns.checked_sub(before.ns)?;
    Some(if count == 0 { 0.0 } else { ns as f64 / count as f64 / 1e6 })
}

#[cfg(test)]
mod tests {
    use tidegate_inference::BatchStatistics;

    use super::*;

    fn reading(scale: u64) -> StatisticsReading {
        let batches = [(2, 3 * scale), (4, scale), (8, 7)].map(|(rows, executions)| {
            let compute_infer = Total { count: executions, ns: 1 };
            BatchStatistics { rows, compute_infer, ..BatchStatistics::default() }
        });
        let version = Statistics {
            inference_count: 10 * scale,
            execution_count: 4 * scale,
            queue: Total { count: 5 * scale, ns: 10_000_000 * scale },
            compute_input: Total { count: 5 * scale, ns: 1_000_000 * scale },
            compute_infer: Total { count: 5 * scale, ns: 4_000_000 * scale },
            batches: batches.to_vec(),
            ..Statistics::default()
        };
        StatisticsReading::of(&[version, Statistics::default()])
    }

    #[test]
    fn the_difference_of_two_readings_is_what_was_done_between_them() {
        let expected = TritonStatistics {
            inference_count: 20,
            execution_count: 8,
            queue_ms: 2.0,
            compute_ms: 1.0,
            batches: BTreeMap::from([(2, 6), (4, 2)]),
        };
        assert_eq!(reading(3).since(&reading(1)), Some(expected));
    }

    #[test]
    fn a_restart_or_an_idle_server_has_no_difference() {
        assert_eq!(reading(1).since(&reading(3)), None);
        assert_eq!(reading(1).since(&reading(1)), None);
    }
}
