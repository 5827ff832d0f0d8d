//! TensorProto. Its values stand raw in `tensor_content`, or in a field by type, where the last is repeated as often
//! as the shape needs. We write them raw, but for strings, and read both.

use bytes::Bytes;
use tidegate_inference::{DataType, Shape, Tensor, TensorData};

use crate::DecodeError;
use crate::grpc::open_inference::contents::{narrow, shape};
use crate::grpc::tensorflow::tensor_shape_proto::Dim;
use crate::grpc::tensorflow::{DataType as Dtype, TensorProto, TensorShapeProto};
use crate::open_inference::binary;
use crate::role::Role;

/// A value that is repeated may not make a small message large: 1 GiB.
const LARGEST_SPLAT: usize = 1 << 30;

pub(super) fn encode(tensor: &Tensor) -> TensorProto {
    let dim = |length: &usize| Dim {
        size: i64::try_from(*length).unwrap_or(i64::MAX),
        name: String::new(),
    };
    let shape =
        TensorShapeProto { dim: tensor.shape().iter().map(dim).collect(), unknown_rank: false };
    let mut proto = TensorProto {
        dtype: dtype(tensor.datatype()).into(),
        tensor_shape: Some(shape),
        ..TensorProto::default()
    };
    match tensor.data() {
        TensorData::Fixed(bytes) => proto.tensor_content = bytes.clone(),
        TensorData::Strings(strings) => proto.string_val = strings.clone(),
    }
    proto
}

pub(super) fn decode(role: Role, name: String, proto: TensorProto) -> Result<Tensor, DecodeError> {
    let fault = |problem: String| DecodeError::invalid(format!("{role} '{name}': {problem}"));
    let datatype = datatype(proto.dtype).map_err(fault)?;
    let dims = proto.tensor_shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let shape = shape(role, &name, dims.iter().map(|dim| dim.size))?;
    if !proto.tensor_content.is_empty() && datatype != DataType::Bytes {
        return binary::tensor(role, name, datatype, shape, proto.tensor_content);
    }
    let data = values(datatype, proto).and_then(|values| splat(values, datatype, &shape));
    Ok(Tensor::new(&*name, datatype, shape, data.map_err(fault)?)?)
}

fn values(datatype: DataType, proto: TensorProto) -> Result<TensorData, String> {
    macro_rules! wide {
        ($field:ident) => {
            proto.$field.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
    }
    macro_rules! narrow {
        ($field:ident, $type:ty) => {
            narrow(&proto.$field, |value| <$type>::try_from(value).ok().map(<$type>::to_le_bytes))?
        };
    }
    let bytes: Bytes = match datatype {
        DataType::Bool => proto.bool_val.iter().map(|value| u8::from(*value)).collect(),
        DataType::Int8 => narrow!(int_val, i8),
        DataType::Int16 => narrow!(int_val, i16),
        DataType::Int32 => wide!(int_val),
        DataType::Int64 => wide!(int64_val),
        DataType::Uint8 => narrow!(int_val, u8),
        DataType::Uint16 => narrow!(int_val, u16),
        DataType::Uint32 => wide!(uint32_val),
        DataType::Uint64 => wide!(uint64_val),
        DataType::Fp32 => wide!(float_val),
        DataType::Fp64 => wide!(double_val),
        // The bits of the float, in an integer.
        DataType::Fp16 | DataType::Bf16 => narrow!(half_val, u16),
        DataType::Bytes => return Ok(TensorData::Strings(proto.string_val)),
    };
    Ok(TensorData::Fixed(bytes))
}

/// Repeats the last value until the shape is full. What is too much stays too much: the tensor refuses it.
fn splat(data: TensorData, datatype: DataType, shape: &Shape) -> Result<TensorData, String> {
    let Some(elements) = shape.elements() else { return Ok(data) };
    let size = datatype.size().unwrap_or(size_of::<Bytes>());
    let too_large = || format!("one value repeated to {shape} takes too much memory");
    let wanted = elements.checked_mul(size).filter(|bytes| *bytes <= LARGEST_SPLAT);
    match data {
        TensorData::Fixed(bytes) if !bytes.is_empty() && bytes.len() / size < elements => {
            let wanted = wanted.ok_or_else(too_large)?;
            let mut filled = Vec::with_capacity(wanted);
            filled.extend_from_slice(&bytes);
            let last = &bytes[bytes.len() - size..];
            while filled.len() < wanted {
                filled.extend_from_slice(last);
            }
            Ok(TensorData::Fixed(filled.into()))
        }
        TensorData::Strings(mut strings) if !strings.is_empty() && strings.len() < elements => {
            wanted.ok_or_else(too_large)?;
            let last = strings[strings.len() - 1].clone();
            strings.resize(elements, last);
            Ok(TensorData::Strings(strings))
        }
        data => Ok(data),
    }
}

pub(super) fn dtype(datatype: DataType) -> Dtype {
    match datatype {
        DataType::Bool => Dtype::DtBool,
        DataType::Uint8 => Dtype::DtUint8,
        DataType::Uint16 => Dtype::DtUint16,
        DataType::Uint32 => Dtype::DtUint32,
        DataType::Uint64 => Dtype::DtUint64,
        DataType::Int8 => Dtype::DtInt8,
        DataType::Int16 => Dtype::DtInt16,
        DataType::Int32 => Dtype::DtInt32,
        DataType::Int64 => Dtype::DtInt64,
        DataType::Fp16 => Dtype::DtHalf,
        DataType::Bf16 => Dtype::DtBfloat16,
        DataType::Fp32 => Dtype::DtFloat,
        DataType::Fp64 => Dtype::DtDouble,
        DataType::Bytes => Dtype::DtString,
    }
}

pub(in crate::grpc) fn datatype(number: i32) -> Result<DataType, String> {
    let known = DataType::ALL.into_iter().find(|known| i32::from(dtype(*known)) == number);
    known.ok_or_else(|| format!("unknown datatype {number}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::any::any_tensor;

    fn proto(dtype: Dtype, dims: &[i64]) -> TensorProto {
        let dim = dims.iter().map(|size| Dim { size: *size, name: String::new() }).collect();
        let tensor_shape = Some(TensorShapeProto { dim, unknown_rank: false });
        TensorProto { dtype: dtype.into(), tensor_shape, ..TensorProto::default() }
    }

    fn read(proto: TensorProto) -> Result<TensorData, String> {
        decode(Role::Input, "x".to_owned(), proto)
            .map(|tensor| tensor.data().clone())
            .map_err(|error| error.to_string())
    }

    fn fixed(bytes: &[u8]) -> TensorData {
        TensorData::Fixed(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn typed_values_are_read_and_the_last_is_repeated() {
        let float = TensorProto { float_val: vec![1.0], ..proto(Dtype::DtFloat, &[3]) };
        assert_eq!(read(float).unwrap(), fixed(&1.0_f32.to_le_bytes().repeat(3)));
        let int = TensorProto { int_val: vec![-1, 2], ..proto(Dtype::DtInt16, &[2, 2]) };
        assert_eq!(read(int).unwrap(), fixed(&[255, 255, 2, 0, 2, 0, 2, 0]));
        let half = TensorProto { half_val: vec![0x3c00], ..proto(Dtype::DtHalf, &[]) };
        assert_eq!(read(half).unwrap(), fixed(&[0, 0x3c]));
        let text =
            TensorProto { string_val: vec![Bytes::from("a")], ..proto(Dtype::DtString, &[2]) };
        assert_eq!(read(text).unwrap(), TensorData::Strings(vec![Bytes::from("a"); 2]));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let many = TensorProto { int64_val: vec![1, 2, 3], ..proto(Dtype::DtInt64, &[2]) };
        let huge = TensorProto { float_val: vec![1.0], ..proto(Dtype::DtFloat, &[1 << 40]) };
        let wide = TensorProto { int_val: vec![300], ..proto(Dtype::DtUint8, &[1]) };
        let short =
            TensorProto { tensor_content: Bytes::from("abc"), ..proto(Dtype::DtFloat, &[1]) };
        for (proto, told) in [
            (proto(Dtype::DtFloat, &[1]), "shape [1] of FP32 needs 4 bytes, got 0"),
            (proto(Dtype::DtInvalid, &[1]), "input 'x': unknown datatype 0"),
            (proto(Dtype::DtBool, &[-1]), "input 'x': its shape holds the dimension -1"),
            (many, "shape [2] of INT64 needs 16 bytes, got 24"),
            (huge, "input 'x': one value repeated to [1099511627776] takes too much memory"),
            (wide, "input 'x': its datatype cannot hold 300"),
            (short, "input byte size mismatch for input 'x'. Expected 4, got 3"),
        ] {
            let refused = read(proto).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn datatypes_keep_their_numbers() {
        for known in DataType::ALL {
            assert_eq!(datatype(dtype(known).into()), Ok(known));
        }
    }

    proptest! {
        #[test]
        fn every_tensor_is_read_as_it_was_written(tensor in any_tensor("t")) {
            let read = decode(Role::Output, "t".to_owned(), encode(&tensor)).unwrap();
            prop_assert_eq!(read, tensor);
        }
    }
}
