//! A loaded version's configuration as it is in effect, for the catalog.

use tidegate_batcher::{Batching, InputAxis, RowLayout};
use tidegate_inference::{Dim, SharedBatches, Signature, VersionDescription, VersionPolicy};

use crate::{BatchingConfig, ModelConfig};

pub fn describe(
    signature: &Signature,
    batching: &Batching,
    config: &ModelConfig,
) -> VersionDescription {
    let has_batch_dimension = match batching {
        Batching::Rows { layout, .. } => lies_first(layout),
        // Its requests run alone, and may have several rows all the same.
        Batching::Unbatched => is_said_to_have_rows(config) && all_begin_dynamic(signature),
    };
    let shared_batches = match batching {
        Batching::Rows { .. } => Some(shared_batches(config.batching)),
        Batching::Unbatched => None,
    };
    VersionDescription {
        max_batch_size: if has_batch_dimension { config.max_batch_size.get() } else { 0 },
        shared_batches,
        max_queue_size: config.max_queue_size.get(),
        instances: config.instances.get(),
        version_policy: config
            .triton
            .as_ref()
            .map_or(VersionPolicy::All, |triton| triton.version_policy.clone()),
    }
}

fn lies_first(layout: &RowLayout) -> bool {
    layout.inputs.iter().all(|axis| *axis == InputAxis::Rows(0))
        && layout.outputs.iter().all(|axis| *axis == 0)
}

fn is_said_to_have_rows(config: &ModelConfig) -> bool {
    config.triton.as_ref().is_some_and(|triton| triton.has_batch_dimension())
}

fn all_begin_dynamic(signature: &Signature) -> bool {
    let mut tensors = signature.inputs.iter().chain(&signature.outputs);
    tensors.all(|spec| spec.shape.first() == Some(&Dim::Dynamic))
}

fn shared_batches(batching: BatchingConfig) -> SharedBatches {
    match batching {
        BatchingConfig::Fixed { batch_size, max_queue_delay } => {
            SharedBatches { batch_size: Some(batch_size.get()), max_queue_delay }
        }
        BatchingConfig::Adaptive | BatchingConfig::OneByOne { .. } => {
            SharedBatches { batch_size: None, max_queue_delay: Default::default() }
        }
    }
}
