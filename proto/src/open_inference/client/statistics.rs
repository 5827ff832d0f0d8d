//! Triton's statistics extension, read: what the versions of a model have done since they were loaded.

use serde::Deserialize;
use tidegate_inference::{BatchStatistics, Statistics};

use crate::DecodeError;
use crate::open_inference::duration::Duration;

/// `GET /v2/models/M[/versions/V]/stats`: one for each version.
///
/// # Errors
/// When it is no such answer.
pub fn decode_statistics(body: &[u8]) -> Result<Vec<Statistics>, DecodeError> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| DecodeError::invalid(format!("not a model's statistics: {error}")))?;
    Ok(body.model_stats.into_iter().map(Stats::read).collect())
}

#[derive(Deserialize)]
struct Body {
    model_stats: Vec<Stats>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stats {
    last_inference: u64,
    inference_count: u64,
    execution_count: u64,
    inference_stats: Durations,
    batch_stats: Vec<Batch>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Durations {
    success: Duration,
    fail: Duration,
    queue: Duration,
    compute_input: Duration,
    compute_infer: Duration,
    compute_output: Duration,
}

#[derive(Deserialize)]
struct Batch {
    batch_size: u64,
    #[serde(default)]
    compute_input: Duration,
    #[serde(default)]
    compute_infer: Duration,
    #[serde(default)]
    compute_output: Duration,
}

impl Stats {
    fn read(self) -> Statistics {
        let durations = self.inference_stats;
        Statistics {
            last_inference: self.last_inference,
            inference_count: self.inference_count,
            execution_count: self.execution_count,
            success: durations.success.into(),
            fail: durations.fail.into(),
            queue: durations.queue.into(),
            compute_input: durations.compute_input.into(),
            compute_infer: durations.compute_infer.into(),
            compute_output: durations.compute_output.into(),
            batches: self.batch_stats.into_iter().map(Batch::read).collect(),
        }
    }
}

impl Batch {
    fn read(self) -> BatchStatistics {
        BatchStatistics {
            rows: self.batch_size,
            compute_input: self.compute_input.into(),
            compute_infer: self.compute_infer.into(),
            compute_output: self.compute_output.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_inference::Total;

    use super::*;

    #[test]
    fn tritons_answer_is_read() {
        let body = br#"{"model_stats":[{"name":"m","version":"1","last_inference":1,"inference_count":12,
            "execution_count":5,"inference_stats":{"success":{"count":6,"ns":900},"queue":{"count":6,"ns":60},
            "compute_input":{"count":6,"ns":1},"compute_infer":{"count":6,"ns":20},"compute_output":{"count":6,"ns":3},
            "cache_hit":{"count":0,"ns":0}},"response_stats":{},
            "batch_stats":[{"batch_size":2,"compute_input":{"count":4,"ns":1},"compute_infer":{"count":4,"ns":9}},
            {"batch_size":4,"compute_infer":{"count":1,"ns":9}}],"memory_usage":[]}]}"#;
        let total = |count, ns| Total { count, ns };
        let batch = |rows, compute_input, compute_infer| BatchStatistics {
            rows,
            compute_input,
            compute_infer,
            compute_output: Total::default(),
        };
        let expected = Statistics {
            last_inference: 1,
            inference_count: 12,
            execution_count: 5,
            success: total(6, 900),
            fail: total(0, 0),
            queue: total(6, 60),
            compute_input: total(6, 1),
            compute_infer: total(6, 20),
            compute_output: total(6, 3),
            batches: vec![batch(2, total(4, 1), total(4, 9)), batch(4, total(0, 0), total(1, 9))],
        };
        assert_eq!(decode_statistics(body).unwrap(), [expected]);
    }

    #[test]
    fn a_model_that_was_never_asked_has_done_nothing() {
        let body = br#"{"model_stats":[{"name":"m","version":"1"}]}"#;
        assert_eq!(decode_statistics(body).unwrap(), [Statistics::default()]);
        assert!(decode_statistics(br#"{"error":"Not Found"}"#).is_err());
    }
}
