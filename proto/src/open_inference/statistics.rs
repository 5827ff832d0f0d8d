//! Triton's statistics extension, written. There is no response cache and nothing that answers one request
//! several times, and memory belongs to no version alone: those members are there, and say nothing.

use bytes::Bytes;
use serde::Serialize;
use tidegate_inference::{BatchStatistics, ModelName, Statistics, Version};

use super::duration::Duration;
use crate::json::to_body;

#[derive(Serialize)]
struct Body<'a> {
    model_stats: Vec<ModelStats<'a>>,
}

#[derive(Serialize)]
struct ModelStats<'a> {
    name: &'a str,
    version: String,
    last_inference: u64,
    inference_count: u64,
    execution_count: u64,
    inference_stats: InferenceStats,
    response_stats: Nothing,
    batch_stats: Vec<BatchStats>,
    memory_usage: [Nothing; 0],
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct InferenceStats {
    success: Duration,
    fail: Duration,
    queue: Duration,
    compute_input: Duration,
    compute_infer: Duration,
    compute_output: Duration,
    cache_hit: Duration,
    cache_miss: Duration,
}

#[derive(Serialize)]
struct BatchStats {
    batch_size: u64,
    compute_input: Duration,
    compute_infer: Duration,
    compute_output: Duration,
}

/// `GET /v2/models[/M[/versions/V]]/stats`
pub fn encode_statistics(versions: &[(ModelName, Version, Statistics)]) -> Bytes {
    to_body(&Body { model_stats: versions.iter().map(ModelStats::of).collect() })
}

impl<'a> ModelStats<'a> {
    fn of((model, version, statistics): &'a (ModelName, Version, Statistics)) -> Self {
        Self {
            name: model.as_str(),
            version: version.to_string(),
            last_inference: statistics.last_inference,
            inference_count: statistics.inference_count,
            execution_count: statistics.execution_count,
            inference_stats: InferenceStats::of(statistics),
            response_stats: Nothing {},
            batch_stats: statistics.batches.iter().map(BatchStats::of).collect(),
            memory_usage: [],
        }
    }
}

impl InferenceStats {
    fn of(statistics: &Statistics) -> Self {
        Self {
            success: statistics.success.into(),
            fail: statistics.fail.into(),
            queue: statistics.queue.into(),
            compute_input: statistics.compute_input.into(),
            compute_infer: statistics.compute_infer.into(),
            compute_output: statistics.compute_output.into(),
            cache_hit: Duration::default(),
            cache_miss: Duration::default(),
        }
    }
}

impl BatchStats {
    fn of(batches: &BatchStatistics) -> Self {
        Self {
            batch_size: batches.rows,
            compute_input: batches.compute_input.into(),
            compute_infer: batches.compute_infer.into(),
            compute_output: batches.compute_output.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tidegate_inference::Total;

    use super::*;
    use crate::any::any_versions_statistics;
    use crate::open_inference::decode_statistics;

    #[test]
    fn every_member_of_the_extension_is_there() {
        let total = |count, ns| Total { count, ns };
        let statistics = Statistics {
            last_inference: 1_700_000_000_123,
            inference_count: 12,
            execution_count: 5,
            success: total(6, 900),
            fail: total(1, 70),
            queue: total(6, 60),
            compute_input: total(6, 1),
            compute_infer: total(6, 20),
            compute_output: total(6, 3),
            batches: vec![BatchStatistics {
                rows: 2,
                compute_input: total(5, 7),
                compute_infer: total(5, 8),
                compute_output: total(5, 9),
            }],
        };
        let model = ModelName::new("m").unwrap();
        let body = encode_statistics(&[(model, Version::new(3).unwrap(), statistics)]);
        let expected = concat!(
            r#"{"model_stats":[{"name":"m","version":"3","last_inference":1700000000123,"#,
            r#""inference_count":12,"execution_count":5,"inference_stats":{"#,
            r#""success":{"count":6,"ns":900},"fail":{"count":1,"ns":70},"queue":{"count":6,"ns":60},"#,
            r#""compute_input":{"count":6,"ns":1},"compute_infer":{"count":6,"ns":20},"#,
            r#""compute_output":{"count":6,"ns":3},"cache_hit":{"count":0,"ns":0},"#,
            r#""cache_miss":{"count":0,"ns":0}},"response_stats":{},"batch_stats":[{"batch_size":2,"#,
            r#""compute_input":{"count":5,"ns":7},"compute_infer":{"count":5,"ns":8},"#,
            r#""compute_output":{"count":5,"ns":9}}],"memory_usage":[]}]}"#,
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn no_versions_are_an_empty_list() {
        assert_eq!(encode_statistics(&[]), r#"{"model_stats":[]}"#);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_a_client_reads(versions in vec(any_versions_statistics(), 0..4)) {
            let read = decode_statistics(&encode_statistics(&versions)).unwrap();
            let statistics: Vec<_> = versions.into_iter().map(|(_, _, statistics)| statistics).collect();
            prop_assert_eq!(read, statistics);
        }
    }
}
