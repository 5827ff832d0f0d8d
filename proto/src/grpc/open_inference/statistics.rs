//! Triton's statistics extension, read.

use crate::grpc::inference::{
    ModelStatistics as Message, ModelStatisticsResponse, StatisticDuration,
};
use crate::open_inference::{ModelStatistics, Total};

/// One for each version.
pub fn decode_statistics(response: ModelStatisticsResponse) -> Vec<ModelStatistics> {
    response.model_stats.into_iter().map(read).collect()
}

fn read(message: Message) -> ModelStatistics {
    let durations = message.inference_stats.unwrap_or_default();
    let parts = [durations.compute_input, durations.compute_infer, durations.compute_output];
    let batches = message.batch_stats.into_iter();
    ModelStatistics {
        inference_count: message.inference_count,
        execution_count: message.execution_count,
        queue: total(durations.queue),
        compute: Total::of_parts(parts.map(total)),
        batches: batches
            .map(|batch| (batch.batch_size, total(batch.compute_infer).count))
            .collect(),
    }
}

fn total(duration: Option<StatisticDuration>) -> Total {
    duration
        .map_or_else(Total::default, |duration| Total { count: duration.count, ns: duration.ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::inference::{InferBatchStatistics, InferStatistics};

    #[test]
    fn an_answer_is_read_and_what_is_left_out_is_nothing() {
        let some = |count, ns| Some(StatisticDuration { count, ns });
        let message = Message {
            inference_count: 12,
            execution_count: 5,
            inference_stats: Some(InferStatistics {
                queue: some(6, 60),
                compute_input: some(6, 1),
                compute_infer: some(6, 20),
                ..InferStatistics::default()
            }),
            batch_stats: vec![InferBatchStatistics {
                batch_size: 2,
                compute_infer: some(4, 9),
                ..InferBatchStatistics::default()
            }],
            ..Message::default()
        };
        let response = ModelStatisticsResponse { model_stats: vec![message, Message::default()] };
        let read = decode_statistics(response);
        assert_eq!(read[0].compute, Total { count: 6, ns: 21 });
        assert_eq!((read[0].inference_count, &read[0].batches[..]), (12, &[(2, 4)][..]));
        assert_eq!(read[1], ModelStatistics::default());
    }
}
