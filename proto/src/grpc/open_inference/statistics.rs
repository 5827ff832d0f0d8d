//! Triton's statistics extension, written and read.

use tidegate_inference::{BatchStatistics, ModelName, Statistics, Total, Version};

use crate::grpc::inference::{
    InferBatchStatistics, InferStatistics, ModelStatistics, ModelStatisticsResponse,
    StatisticDuration,
};

/// The answer to `ModelStatistics`: one for each version.
pub fn encode_statistics(versions: &[(ModelName, Version, Statistics)]) -> ModelStatisticsResponse {
    ModelStatisticsResponse { model_stats: versions.iter().map(write).collect() }
}

fn write((model, version, statistics): &(ModelName, Version, Statistics)) -> ModelStatistics {
    ModelStatistics {
        name: model.as_str().to_owned(),
        version: version.to_string(),
        last_inference: statistics.last_inference,
        inference_count: statistics.inference_count,
        execution_count: statistics.execution_count,
        inference_stats: Some(InferStatistics {
            success: duration(statistics.success),
            fail: duration(statistics.fail),
            queue: duration(statistics.queue),
            compute_input: duration(statistics.compute_input),
            compute_infer: duration(statistics.compute_infer),
            compute_output: duration(statistics.compute_output),
            cache_hit: duration(Total::default()),
            cache_miss: duration(Total::default()),
        }),
        batch_stats: statistics.batches.iter().map(write_batch).collect(),
    }
}

fn write_batch(batches: &BatchStatistics) -> InferBatchStatistics {
    InferBatchStatistics {
        batch_size: batches.rows,
        compute_input: duration(batches.compute_input),
        compute_infer: duration(batches.compute_infer),
        compute_output: duration(batches.compute_output),
    }
}

fn duration(total: Total) -> Option<StatisticDuration> {
    Some(StatisticDuration { count: total.count, ns: total.ns })
}

/// One for each version.
pub fn decode_statistics(response: ModelStatisticsResponse) -> Vec<Statistics> {
    response.model_stats.into_iter().map(read).collect()
}

fn read(message: ModelStatistics) -> Statistics {
    let durations = message.inference_stats.unwrap_or_default();
    Statistics {
        last_inference: message.last_inference,
        inference_count: message.inference_count,
        execution_count: message.execution_count,
        success: total(durations.success),
        fail: total(durations.fail),
        queue: total(durations.queue),
        compute_input: total(durations.compute_input),
        compute_infer: total(durations.compute_infer),
        compute_output: total(durations.compute_output),
        batches: message.batch_stats.into_iter().map(read_batch).collect(),
    }
}

fn read_batch(batches: InferBatchStatistics) -> BatchStatistics {
    BatchStatistics {
        rows: batches.batch_size,
        compute_input: total(batches.compute_input),
        compute_infer: total(batches.compute_infer),
        compute_output: total(batches.compute_output),
    }
}

fn total(duration: Option<StatisticDuration>) -> Total {
    duration
        .map_or_else(Total::default, |duration| Total { count: duration.count, ns: duration.ns })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::any::any_versions_statistics;

    #[test]
    fn what_is_left_out_is_nothing() {
        let response = ModelStatisticsResponse { model_stats: vec![ModelStatistics::default()] };
        assert_eq!(decode_statistics(response), [Statistics::default()]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_a_client_reads(versions in vec(any_versions_statistics(), 0..4)) {
            let wire = encode_statistics(&versions).encode_to_vec();
            let read = ModelStatisticsResponse::decode(&wire[..]).unwrap();
            let named = read.model_stats.iter().map(|stats| (stats.name.clone(), stats.version.clone()));
            let expected = versions.iter().map(|(model, version, _)| (model.to_string(), version.to_string()));
            prop_assert!(named.eq(expected));
            let statistics: Vec<_> = versions.into_iter().map(|(_, _, statistics)| statistics).collect();
            prop_assert_eq!(decode_statistics(read), statistics);
        }
    }
}
