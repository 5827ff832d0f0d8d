//! A model's configuration as Triton's clients read it, made of the contract and of how the version is run: what is in
//! effect, whatever was asked for.

use tidegate_inference::{
    DataType, Priority, SharedBatches, Signature, TensorSpec, VersionDescription, VersionPolicy,
};

use crate::grpc::inference::model_config::SchedulingChoice;
use crate::grpc::inference::model_instance_group::Kind;
use crate::grpc::inference::model_version_policy::{All, Latest, PolicyChoice, Specific};
use crate::grpc::inference::{
    DataType as WireType, ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup,
    ModelOutput, ModelQueuePolicy, ModelTransactionPolicy, ModelVersionPolicy,
};
use crate::open_inference::dim_size;

/// The platform is `onnxruntime_onnx` and such: a backend and the format that it reads.
pub fn encode_model_config(
    model: &str,
    platform: &str,
    signature: &Signature,
    description: &VersionDescription,
) -> ModelConfig {
    // What lies before the dimensions that are shown.
    let batch = usize::from(description.max_batch_size > 0);
    let scheduling = description.shared_batches.as_ref();
    ModelConfig {
        name: model.to_owned(),
        platform: platform.to_owned(),
        backend: platform.strip_suffix("_onnx").unwrap_or(platform).to_owned(),
        version_policy: Some(version_policy(&description.version_policy)),
        max_batch_size: number(description.max_batch_size),
        input: signature.inputs.iter().map(|spec| input(spec, batch)).collect(),
        output: signature.outputs.iter().map(|spec| output(spec, batch)).collect(),
        scheduling_choice: scheduling.map(|shared| {
            SchedulingChoice::DynamicBatching(dynamic_batching(shared, description.max_queue_size))
        }),
        instance_group: vec![ModelInstanceGroup {
            name: model.to_owned(),
            kind: Kind::Cpu.into(),
            count: number(description.instances),
            ..ModelInstanceGroup::default()
        }],
        default_model_filename: "model.onnx".to_owned(),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: false }),
        ..ModelConfig::default()
    }
}

fn version_policy(policy: &VersionPolicy) -> ModelVersionPolicy {
    let choice = match policy {
        VersionPolicy::All => PolicyChoice::All(All {}),
        VersionPolicy::Latest(count) => {
            PolicyChoice::Latest(Latest { num_versions: number(count.get()) })
        }
        VersionPolicy::Specific(versions) => PolicyChoice::Specific(Specific {
            versions: versions.iter().map(|version| version.get().cast_signed()).collect(),
        }),
    };
    ModelVersionPolicy { policy_choice: Some(choice) }
}

fn dynamic_batching(shared: &SharedBatches, max_queue_size: usize) -> ModelDynamicBatching {
    let delay = shared.max_queue_delay.as_micros();
    ModelDynamicBatching {
        preferred_batch_size: shared.batch_size.into_iter().map(number).collect(),
        max_queue_delay_microseconds: delay.try_into().unwrap_or(u64::MAX),
        priority_levels: Priority::LOWEST.level().into(),
        default_priority_level: Priority::DEFAULT.level().into(),
        default_queue_policy: Some(ModelQueuePolicy {
            allow_timeout_override: true,
            max_queue_size: number(max_queue_size),
            ..ModelQueuePolicy::default()
        }),
        ..ModelDynamicBatching::default()
    }
}

fn input(spec: &TensorSpec, batch: usize) -> ModelInput {
    ModelInput {
        name: spec.name.to_string(),
        data_type: data_type(spec.datatype).into(),
        dims: dims(spec, batch),
        ..ModelInput::default()
    }
}

fn output(spec: &TensorSpec, batch: usize) -> ModelOutput {
    ModelOutput {
        name: spec.name.to_string(),
        data_type: data_type(spec.datatype).into(),
        dims: dims(spec, batch),
        ..ModelOutput::default()
    }
}

fn dims(spec: &TensorSpec, batch: usize) -> Vec<i64> {
    spec.shape.iter().skip(batch).map(|dim| dim_size(*dim)).collect()
}

fn data_type(datatype: DataType) -> WireType {
    match datatype {
        DataType::Bool => WireType::TypeBool,
        DataType::Uint8 => WireType::TypeUint8,
        DataType::Uint16 => WireType::TypeUint16,
        DataType::Uint32 => WireType::TypeUint32,
        DataType::Uint64 => WireType::TypeUint64,
        DataType::Int8 => WireType::TypeInt8,
        DataType::Int16 => WireType::TypeInt16,
        DataType::Int32 => WireType::TypeInt32,
        DataType::Int64 => WireType::TypeInt64,
        DataType::Fp16 => WireType::TypeFp16,
        DataType::Bf16 => WireType::TypeBf16,
        DataType::Fp32 => WireType::TypeFp32,
        DataType::Fp64 => WireType::TypeFp64,
        DataType::Bytes => WireType::TypeString,
    }
}

/// What does not fit is as much as fits: no such number is in use.
fn number<N: TryFrom<usize> + Bounded>(number: usize) -> N {
    number.try_into().unwrap_or(N::MOST)
}

trait Bounded {
    const MOST: Self;
}

impl Bounded for i32 {
    const MOST: Self = Self::MAX;
}

impl Bounded for u32 {
    const MOST: Self = Self::MAX;
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use tidegate_inference::{Dim, Version};

    use super::*;

    pub(crate) fn signature() -> Signature {
        let spec = |name: &str, datatype, shape: &[Dim]| TensorSpec {
            name: name.into(),
            datatype,
            shape: shape.to_vec(),
        };
        Signature {
            inputs: vec![spec("x", DataType::Fp32, &[Dim::Dynamic, Dim::Dynamic, Dim::Fixed(8)])],
            outputs: vec![spec("y", DataType::Bytes, &[Dim::Dynamic])],
        }
    }

    pub(crate) fn description() -> VersionDescription {
        VersionDescription {
            max_batch_size: 16,
            shared_batches: Some(SharedBatches {
                batch_size: Some(4),
                max_queue_delay: Duration::from_millis(2),
            }),
            max_queue_size: 100,
            instances: 2,
            version_policy: VersionPolicy::Latest(3.try_into().unwrap()),
        }
    }

    #[test]
    fn a_batched_model_shows_its_dimensions_without_the_batchs() {
        let config = encode_model_config("m", "onnxruntime_onnx", &signature(), &description());
        assert_eq!((config.max_batch_size, &*config.backend), (16, "onnxruntime"));
        assert_eq!((&*config.input[0].dims, &*config.output[0].dims), (&[-1, 8][..], &[][..]));
        assert_eq!(config.input[0].data_type(), WireType::TypeFp32);
        assert_eq!(config.output[0].data_type(), WireType::TypeString);
        let Some(SchedulingChoice::DynamicBatching(dynamic)) = config.scheduling_choice else {
            panic!("it shares batches")
        };
        assert_eq!(dynamic.preferred_batch_size, [4]);
        assert_eq!(dynamic.max_queue_delay_microseconds, 2000);
    }

    #[test]
    fn a_model_without_batches_shows_all_dimensions_and_no_scheduler() {
        let alone = VersionDescription { max_batch_size: 0, shared_batches: None, ..description() };
        let config = encode_model_config("m", "onnxruntime_onnx", &signature(), &alone);
        assert_eq!((config.max_batch_size, config.scheduling_choice), (0, None));
        assert_eq!(
            (&*config.input[0].dims, &*config.output[0].dims),
            (&[-1, -1, 8][..], &[-1][..])
        );
    }

    #[test]
    fn every_datatype_has_its_own_number_and_name() {
        for datatype in DataType::ALL {
            let name = data_type(datatype).as_str_name();
            let expected = datatype.name().replace("BYTES", "STRING");
            assert_eq!(name, format!("TYPE_{expected}"));
        }
    }

    #[test]
    fn specific_versions_are_listed() {
        let versions = [1, 5].into_iter().filter_map(Version::new).collect();
        let policy = version_policy(&VersionPolicy::Specific(versions)).policy_choice;
        assert_eq!(policy, Some(PolicyChoice::Specific(Specific { versions: vec![1, 5] })));
    }
}
