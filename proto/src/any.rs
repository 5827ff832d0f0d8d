//! Random values for the tests: tensors of every datatype, ranks from none to three, every bit pattern; statistics.

use bytes::Bytes;
use half::{bf16, f16};
use proptest::prelude::*;
use tidegate_inference::{
    BatchStatistics, DataType, ModelName, Shape, Statistics, Tensor, TensorData, Total, Version,
};

/// A tensor of random datatype, rank and bit patterns; BOOL bytes stay 0 or 1, byte strings are text.
pub(crate) fn any_tensor(name: &'static str) -> impl Strategy<Value = Tensor> {
    let dims = proptest::collection::vec(0_usize..4, 0..4);
    (0..DataType::ALL.len(), dims).prop_flat_map(move |(datatype, dims)| {
        let datatype = DataType::ALL[datatype];
        let shape = Shape::new(&dims);
        let elements = shape.elements().unwrap();
        let data = match datatype.size() {
            None => proptest::collection::vec(".{0,5}", elements)
                .prop_map(|strings| {
                    TensorData::Strings(strings.into_iter().map(Bytes::from).collect())
                })
                .boxed(),
            Some(size) => proptest::collection::vec(any::<u8>(), elements * size)
                .prop_map(move |mut bytes| {
                    if datatype == DataType::Bool {
                        bytes.iter_mut().for_each(|byte| *byte &= 1);
                    }
                    TensorData::Fixed(bytes.into())
                })
                .boxed(),
        };
        data.prop_map(move |data| Tensor::new(name, datatype, shape.clone(), data).unwrap())
    })
}

/// Equal in everything but the payload of NaNs, which JSON does not carry.
pub(crate) fn same_values(a: &Tensor, b: &Tensor) -> bool {
    (a.name(), a.datatype(), a.shape()) == (b.name(), b.datatype(), b.shape())
        && without_nan_payloads(a) == without_nan_payloads(b)
}

fn without_nan_payloads(tensor: &Tensor) -> TensorData {
    macro_rules! canonical {
        ($bytes:expr, $type:ty, $size:literal) => {{
            let (values, _) = $bytes.as_chunks::<$size>();
            let canonical = values.iter().flat_map(|le| match <$type>::from_le_bytes(*le) {
                value if value.is_nan() => <$type>::NAN.to_le_bytes(),
                _ => *le,
            });
            TensorData::Fixed(canonical.collect())
        }};
    }
    match (tensor.data(), tensor.datatype()) {
        (TensorData::Fixed(bytes), DataType::Fp16) => canonical!(bytes, f16, 2),
        (TensorData::Fixed(bytes), DataType::Bf16) => canonical!(bytes, bf16, 2),
        (TensorData::Fixed(bytes), DataType::Fp32) => canonical!(bytes, f32, 4),
        (TensorData::Fixed(bytes), DataType::Fp64) => canonical!(bytes, f64, 8),
        (data, _) => data.clone(),
    }
}

/// What some version of some model has done.
pub(crate) fn any_versions_statistics() -> impl Strategy<Value = (ModelName, Version, Statistics)> {
    let number = 1..=i64::MAX as u64;
    ("[a-z\"é ]{1,8}", number, any_statistics()).prop_map(|(model, number, statistics)| {
        (ModelName::new(&model).unwrap(), Version::new(number).unwrap(), statistics)
    })
}

fn any_statistics() -> impl Strategy<Value = Statistics> {
    let counts = any::<[u64; 3]>();
    let totals = (any_total(), any_total(), any_total(), any_total(), any_total(), any_total());
    let batches = proptest::collection::vec(any_batches(), 0..4);
    (counts, totals, batches).prop_map(|(counts, totals, batches)| {
        let [last_inference, inference_count, execution_count] = counts;
        let (success, fail, queue, compute_input, compute_infer, compute_output) = totals;
        Statistics {
            last_inference,
            inference_count,
            execution_count,
            success,
            fail,
            queue,
            compute_input,
            compute_infer,
            compute_output,
            batches,
        }
    })
}

fn any_batches() -> impl Strategy<Value = BatchStatistics> {
    let batches = (any::<u64>(), any_total(), any_total(), any_total());
    batches.prop_map(|(rows, compute_input, compute_infer, compute_output)| BatchStatistics {
        rows,
        compute_input,
        compute_infer,
        compute_output,
    })
}

fn any_total() -> impl Strategy<Value = Total> {
    any::<(u64, u64)>().prop_map(|(count, ns)| Total { count, ns })
}
