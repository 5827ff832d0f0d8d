//! A tensor's values: raw, as the binary tensor extension has them, or typed, one field for each width.

use bytes::Bytes;
use tidegate_inference::{DataType, Shape, Tensor, TensorData};

use crate::DecodeError;
use crate::grpc::inference::InferTensorContents;
use crate::open_inference::binary;
use crate::role::Role;
use crate::shared_memory::{Regions, Window};

/// A tensor's description, the same in requests and answers.
pub(super) struct Head {
    pub(super) name: String,
    pub(super) datatype: String,
    pub(super) shape: Vec<i64>,
    pub(super) contents: Option<InferTensorContents>,
    /// Where its values are, if not in the message.
    pub(super) shared: Option<Window>,
}

/// Gives each tensor its values. The raw list, where there is one, holds those of all tensors in order.
pub(super) fn fill(
    role: Role,
    heads: Vec<Head>,
    raw: Vec<Bytes>,
    regions: &dyn Regions,
) -> Result<Vec<Tensor>, DecodeError> {
    let here = heads.iter().filter(|head| head.shared.is_none()).count();
    if !raw.is_empty() && raw.len() != here {
        return Err(DecodeError::invalid(format!(
            "raw_{role}_contents holds {} tensors, expected one for each of the {here} {role}s",
            raw.len(),
        )));
    }
    let mut raw = raw.into_iter();
    let tensor = |head: Head| match &head.shared {
        Some(window) => {
            let bytes = regions.read(window);
            let bytes =
                bytes.map_err(|error| error.within(format_args!("{role} '{}'", head.name)))?;
            head.raw(role, bytes)
        }
        None => match raw.next() {
            Some(bytes) => head.raw(role, bytes),
            None => head.typed(role),
        },
    };
    heads.into_iter().map(tensor).collect()
}

pub(super) fn raw(tensor: &Tensor) -> Result<Bytes, tidegate_inference::Error> {
    binary::serialize(tensor)
}

pub(super) fn dims(tensor: &Tensor) -> Vec<i64> {
    tensor.shape().iter().map(|length| i64::try_from(*length).unwrap_or(i64::MAX)).collect()
}

impl Head {
    fn raw(self, role: Role, bytes: Bytes) -> Result<Tensor, DecodeError> {
        if self.contents.is_some() {
            return Err(DecodeError::invalid(format!(
                "contents field must not be specified when using raw_{role}_contents or shared memory for '{}'",
                self.name
            )));
        }
        let (datatype, shape) = (self.datatype(role)?, self.shape(role)?);
        binary::tensor(role, self.name, datatype, shape, bytes)
    }

    fn typed(self, role: Role) -> Result<Tensor, DecodeError> {
        let (datatype, shape) = (self.datatype(role)?, self.shape(role)?);
        let contents = self.contents.unwrap_or_default();
        let data = values(datatype, contents).map_err(|problem| {
            DecodeError::invalid(format!("{role} '{}': {problem}", self.name))
        })?;
        Ok(Tensor::new(self.name, datatype, shape, data)?)
    }

    fn datatype(&self, role: Role) -> Result<DataType, DecodeError> {
        self.datatype
            .parse()
            .map_err(|unknown| DecodeError::invalid(format!("{role} '{}': {unknown}", self.name)))
    }

    fn shape(&self, role: Role) -> Result<Shape, DecodeError> {
        shape(role, &self.name, self.shape.iter().copied())
    }
}

/// # Errors
/// When there are too many dimensions, or a negative one.
pub(crate) fn shape(
    role: Role,
    name: &str,
    dims: impl ExactSizeIterator<Item = i64>,
) -> Result<Shape, DecodeError> {
    if dims.len() > Shape::MAX_RANK {
        return Err(DecodeError::invalid(format!(
            "{role} '{name}': more than {} dimensions",
            Shape::MAX_RANK
        )));
    }
    dims.map(|dim| {
        usize::try_from(dim).map_err(|_| {
            DecodeError::invalid(format!("{role} '{name}': its shape holds the dimension {dim}"))
        })
    })
    .collect()
}

fn values(datatype: DataType, contents: InferTensorContents) -> Result<TensorData, String> {
    macro_rules! wide {
        ($field:ident) => {
            contents.$field.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
    }
    macro_rules! narrow {
        ($field:ident, $type:ty) => {
            narrow(&contents.$field, |value| {
                <$type>::try_from(value).ok().map(<$type>::to_le_bytes)
            })?
        };
    }
    let bytes: Bytes = match datatype {
        DataType::Bool => contents.bool_contents.iter().map(|value| u8::from(*value)).collect(),
        DataType::Int8 => narrow!(int_contents, i8),
        DataType::Int16 => narrow!(int_contents, i16),
        DataType::Int32 => wide!(int_contents),
        DataType::Int64 => wide!(int64_contents),
        DataType::Uint8 => narrow!(uint_contents, u8),
        DataType::Uint16 => narrow!(uint_contents, u16),
        DataType::Uint32 => wide!(uint_contents),
        DataType::Uint64 => wide!(uint64_contents),
        DataType::Fp32 => wide!(fp32_contents),
        DataType::Fp64 => wide!(fp64_contents),
        DataType::Bytes => return Ok(TensorData::Strings(contents.bytes_contents)),
        DataType::Fp16 | DataType::Bf16 => {
            return Err(format!("{datatype} has no typed contents, it travels raw only"));
        }
    };
    Ok(TensorData::Fixed(bytes))
}

/// Values of a field that is wider than the datatype.
pub(crate) fn narrow<T: Copy + std::fmt::Display, const SIZE: usize>(
    values: &[T],
    convert: impl Fn(T) -> Option<[u8; SIZE]>,
) -> Result<Bytes, String> {
    let mut bytes = Vec::with_capacity(values.len() * SIZE);
    for value in values {
        let Some(le) = convert(*value) else {
            return Err(format!("its datatype cannot hold {value}"));
        };
        bytes.extend_from_slice(&le);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared_memory::NoRegions;

    fn head(datatype: &str, shape: &[i64], contents: Option<InferTensorContents>) -> Head {
        let (datatype, shape) = (datatype.into(), shape.to_vec());
        Head { name: "x".into(), datatype, shape, contents, shared: None }
    }

    fn typed(datatype: &str, contents: InferTensorContents) -> Result<Vec<u8>, String> {
        let heads = vec![head(datatype, &[2], Some(contents))];
        let tensors =
            fill(Role::Input, heads, vec![], &NoRegions).map_err(|error| error.to_string())?;
        match tensors[0].data() {
            TensorData::Fixed(bytes) => Ok(bytes.to_vec()),
            TensorData::Strings(strings) => Ok(strings.concat()),
        }
    }

    #[test]
    fn typed_values_of_every_width_become_little_endian_bytes() {
        let contents = InferTensorContents {
            bool_contents: vec![true, false],
            int_contents: vec![-2, 1],
            int64_contents: vec![-2, 1],
            uint_contents: vec![255, 1],
            uint64_contents: vec![255, 1],
            fp32_contents: vec![1.0, -0.5],
            fp64_contents: vec![1.0, -0.5],
            bytes_contents: vec![Bytes::from("a"), Bytes::from("b")],
        };
        for (datatype, bytes) in [
            ("BOOL", vec![1, 0]),
            ("INT8", vec![254, 1]),
            ("INT16", vec![254, 255, 1, 0]),
            ("INT32", [-2_i32, 1].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("INT64", [-2_i64, 1].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("UINT8", vec![255, 1]),
            ("UINT16", vec![255, 0, 1, 0]),
            ("UINT32", [255_u32, 1].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("UINT64", [255_u64, 1].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("FP32", [1.0_f32, -0.5].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("FP64", [1.0_f64, -0.5].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("BYTES", b"ab".to_vec()),
        ] {
            assert_eq!(typed(datatype, contents.clone()).unwrap(), bytes, "{datatype}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let ints = |values: &[i32]| InferTensorContents {
            int_contents: values.to_vec(),
            ..InferTensorContents::default()
        };
        let refusal =
            |heads, raw| fill(Role::Output, heads, raw, &NoRegions).unwrap_err().to_string();
        for (told, refused) in [
            (
                "input 'x': its datatype cannot hold 128",
                typed("INT8", ints(&[1, 128])).unwrap_err(),
            ),
            ("input 'x': FP16 has no typed contents", typed("FP16", ints(&[])).unwrap_err()),
            (
                "tensor 'x': shape [2] of INT32 needs 8 bytes, got 4",
                typed("INT32", ints(&[1])).unwrap_err(),
            ),
            (
                "output 'x': unknown datatype 'FLOAT'",
                refusal(vec![head("FLOAT", &[1], None)], vec![]),
            ),
            (
                "output 'x': its shape holds the dimension -1",
                refusal(vec![head("BOOL", &[-1], None)], vec![]),
            ),
            (
                "output 'x': more than 32 dimensions",
                refusal(vec![head("BOOL", &[1; 33], None)], vec![]),
            ),
            (
                "raw_output_contents holds 1 tensors, expected one for each of the 2 outputs",
                refusal(
                    vec![head("BOOL", &[0], None), head("BOOL", &[0], None)],
                    vec![Bytes::new()],
                ),
            ),
            (
                "contents field must not be specified when using raw_output_contents or shared memory for 'x'",
                refusal(
                    vec![head("INT32", &[1], Some(ints(&[1])))],
                    vec![Bytes::from_static(&[0; 4])],
                ),
            ),
            (
                "output byte size mismatch for output 'x'. Expected 4, got 3",
                refusal(vec![head("INT32", &[1], None)], vec![Bytes::from_static(&[0; 3])]),
            ),
        ] {
            assert!(refused.contains(told), "{refused}");
        }
    }
}
