//! Triton's statistics extension, as far as a client needs it: what a model has done since it was loaded.

use serde::Deserialize;

use crate::DecodeError;

/// Of one version of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelStatistics {
    /// Rows.
    pub inference_count: u64,
    /// Batches.
    pub execution_count: u64,
    pub queue: Total,
    /// Input, inference and output together, by request.
    pub compute: Total,
    /// Executions by the rows of their batch.
    pub batches: Vec<(u64, u64)>,
}

/// How often something was done, and how long it took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Total {
    #[serde(default)]
    pub count: u64,
    #[serde(default)]
    pub ns: u64,
}

impl Total {
    /// Parts of one thing: it was done once where each part was done once.
    pub(crate) fn of_parts(parts: [Self; 3]) -> Self {
        let count = parts.iter().map(|part| part.count).max().unwrap_or(0);
        Self { count, ns: parts.iter().fold(0, |sum, part| sum.saturating_add(part.ns)) }
    }
}

/// `GET /v2/models/M[/versions/V]/stats`: one for each version.
///
/// # Errors
/// When it is no such answer.
pub fn decode_statistics(body: &[u8]) -> Result<Vec<ModelStatistics>, DecodeError> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| DecodeError::invalid(format!("not a model's statistics: {error}")))?;
    Ok(body.model_stats.into_iter().map(Stats::read).collect())
}

#[derive(Deserialize)]
struct Body {
    model_stats: Vec<Stats>,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    inference_count: u64,
    #[serde(default)]
    execution_count: u64,
    #[serde(default)]
    inference_stats: Durations,
    #[serde(default)]
    batch_stats: Vec<Batch>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Durations {
    queue: Total,
    compute_input: Total,
    compute_infer: Total,
    compute_output: Total,
}

#[derive(Deserialize)]
struct Batch {
    batch_size: u64,
    #[serde(default)]
    compute_infer: Total,
}

impl Stats {
    fn read(self) -> ModelStatistics {
        let Durations { queue, compute_input, compute_infer, compute_output } =
            self.inference_stats;
        ModelStatistics {
            inference_count: self.inference_count,
            execution_count: self.execution_count,
            queue,
            compute: Total::of_parts([compute_input, compute_infer, compute_output]),
            batches: self
                .batch_stats
                .into_iter()
                .map(|batch| (batch.batch_size, batch.compute_infer.count))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tritons_answer_is_read() {
        let body = br#"{"model_stats":[{"name":"m","version":"1","last_inference":1,"inference_count":12,
            "execution_count":5,"inference_stats":{"success":{"count":6,"ns":900},"queue":{"count":6,"ns":60},
            "compute_input":{"count":6,"ns":1},"compute_infer":{"count":6,"ns":20},"compute_output":{"count":6,"ns":3},
            "cache_hit":{"count":0,"ns":0}},"response_stats":{},
            "batch_stats":[{"batch_size":2,"compute_input":{"count":4,"ns":1},"compute_infer":{"count":4,"ns":9}},
            {"batch_size":4,"compute_infer":{"count":1,"ns":9}}],"memory_usage":[]}]}"#;
        let statistics = decode_statistics(body).unwrap();
        let expected = ModelStatistics {
            inference_count: 12,
            execution_count: 5,
            queue: Total { count: 6, ns: 60 },
            compute: Total { count: 6, ns: 24 },
            batches: vec![(2, 4), (4, 1)],
        };
        assert_eq!(statistics, [expected]);
    }

    #[test]
    fn a_model_that_was_never_asked_has_done_nothing() {
        let body = br#"{"model_stats":[{"name":"m","version":"1"}]}"#;
        assert_eq!(decode_statistics(body).unwrap(), [ModelStatistics::default()]);
        assert!(decode_statistics(br#"{"error":"Not Found"}"#).is_err());
    }
}
