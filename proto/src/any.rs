//! Random tensors for the tests: every datatype, ranks from none to three, every bit pattern.

use bytes::Bytes;
use half::{bf16, f16};
use proptest::prelude::*;
use tidegate_inference::{DataType, Shape, Tensor, TensorData};

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
