//! `GET /v2/models/M/config`: the gRPC message in JSON as Triton's server writes it. Names are the message's own, fields
//! without a value are there, messages that were not set are not, enums go by their names, and 64-bit numbers are
//! numbers.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::grpc::inference::model_config::SchedulingChoice;
use crate::grpc::inference::model_version_policy::PolicyChoice;
use crate::grpc::inference::{
    ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup, ModelOutput,
    ModelQueuePolicy, ModelVersionPolicy,
};
use crate::json::to_body;

/// Of a message of ours ([`encode_model_config`]): what it never says is not looked at.
///
/// [`encode_model_config`]: crate::grpc::open_inference::encode_model_config
pub fn model_config(config: &ModelConfig) -> Bytes {
    let mut document = json!({
        "name": config.name,
        "platform": config.platform,
        "backend": config.backend,
        "runtime": config.runtime,
        "max_batch_size": config.max_batch_size,
        "input": config.input.iter().map(input).collect::<Vec<_>>(),
        "output": config.output.iter().map(output).collect::<Vec<_>>(),
        "batch_input": [],
        "batch_output": [],
        "instance_group": config.instance_group.iter().map(instance_group).collect::<Vec<_>>(),
        "default_model_filename": config.default_model_filename,
        "cc_model_filenames": {},
        "metric_tags": {},
        "parameters": {},
        "model_warmup": [],
    });
    if let Some(policy) = &config.version_policy {
        document["version_policy"] = version_policy(policy);
    }
    if let Some(SchedulingChoice::DynamicBatching(dynamic)) = &config.scheduling_choice {
        document["dynamic_batching"] = dynamic_batching(dynamic);
    }
    if let Some(policy) = &config.model_transaction_policy {
        document["model_transaction_policy"] = json!({ "decoupled": policy.decoupled });
    }
    to_body(&document)
}

fn version_policy(policy: &ModelVersionPolicy) -> Value {
    match &policy.policy_choice {
        Some(PolicyChoice::Latest(latest)) => {
            json!({ "latest": { "num_versions": latest.num_versions } })
        }
        Some(PolicyChoice::All(_)) => json!({ "all": {} }),
        Some(PolicyChoice::Specific(specific)) => {
            json!({ "specific": { "versions": specific.versions } })
        }
        None => Value::Object(Map::new()),
    }
}

fn input(input: &ModelInput) -> Value {
    json!({
        "name": input.name,
        "data_type": input.data_type().as_str_name(),
        "format": input.format().as_str_name(),
        "dims": input.dims,
        "is_shape_tensor": input.is_shape_tensor,
        "allow_ragged_batch": input.allow_ragged_batch,
        "optional": input.optional,
        "is_non_linear_format_io": input.is_non_linear_format_io,
    })
}

fn output(output: &ModelOutput) -> Value {
    json!({
        "name": output.name,
        "data_type": output.data_type().as_str_name(),
        "dims": output.dims,
        "label_filename": output.label_filename,
        "is_shape_tensor": output.is_shape_tensor,
        "is_non_linear_format_io": output.is_non_linear_format_io,
    })
}

fn dynamic_batching(dynamic: &ModelDynamicBatching) -> Value {
    let mut document = json!({
        "preferred_batch_size": dynamic.preferred_batch_size,
        "max_queue_delay_microseconds": dynamic.max_queue_delay_microseconds,
        "preserve_ordering": dynamic.preserve_ordering,
        "priority_levels": dynamic.priority_levels,
        "default_priority_level": dynamic.default_priority_level,
        "priority_queue_policy": {},
    });
    if let Some(policy) = &dynamic.default_queue_policy {
        document["default_queue_policy"] = queue_policy(policy);
    }
    document
}

fn queue_policy(policy: &ModelQueuePolicy) -> Value {
    json!({
        "timeout_action": policy.timeout_action().as_str_name(),
        "default_timeout_microseconds": policy.default_timeout_microseconds,
        "allow_timeout_override": policy.allow_timeout_override,
        "max_queue_size": policy.max_queue_size,
    })
}

fn instance_group(group: &ModelInstanceGroup) -> Value {
    json!({
        "name": group.name,
        "kind": group.kind().as_str_name(),
        "count": group.count,
        "gpus": group.gpus,
        "secondary_devices": [],
        "profile": group.profile,
        "passive": group.passive,
        "host_policy": group.host_policy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::open_inference::encode_model_config;
    use crate::grpc::open_inference::model_config::tests::{description, signature};

    #[test]
    fn every_field_is_there_in_tritons_spelling() {
        let config = encode_model_config("m", "onnxruntime_onnx", &signature(), &description());
        let body: Value = serde_json::from_slice(&model_config(&config)).unwrap();
        let expected = json!({
            "name": "m", "platform": "onnxruntime_onnx", "backend": "onnxruntime", "runtime": "",
            "version_policy": {"latest": {"num_versions": 3}}, "max_batch_size": 16,
            "input": [{
                "name": "x", "data_type": "TYPE_FP32", "format": "FORMAT_NONE", "dims": [-1, 8],
                "is_shape_tensor": false, "allow_ragged_batch": false, "optional": false,
                "is_non_linear_format_io": false,
            }],
            "output": [{
                "name": "y", "data_type": "TYPE_STRING", "dims": [], "label_filename": "",
                "is_shape_tensor": false, "is_non_linear_format_io": false,
            }],
            "batch_input": [], "batch_output": [],
            "dynamic_batching": {
                "preferred_batch_size": [4], "max_queue_delay_microseconds": 2000,
                "preserve_ordering": false, "priority_levels": 10, "default_priority_level": 5,
                "default_queue_policy": {
                    "timeout_action": "REJECT", "default_timeout_microseconds": 0,
                    "allow_timeout_override": true, "max_queue_size": 100,
                },
                "priority_queue_policy": {},
            },
            "instance_group": [{
                "name": "m", "kind": "KIND_CPU", "count": 2, "gpus": [], "secondary_devices": [],
                "profile": [], "passive": false, "host_policy": "",
            }],
            "default_model_filename": "model.onnx", "cc_model_filenames": {}, "metric_tags": {},
            "parameters": {}, "model_warmup": [], "model_transaction_policy": {"decoupled": false},
        });
        assert_eq!(body, expected);
    }
}
