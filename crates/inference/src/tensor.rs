//! A named, typed, shaped array of values, as it travels from the wire to the model and back.
//!
//! Values are kept as the wire and the model want them: little-endian, row-major, without padding.
//! The bytes are shared, not owned, so a tensor can be a window into a request body or into a
//! model's batch output, and cloning one copies nothing. They are therefore not aligned for their
//! datatype: read elements with `from_le_bytes`, or copy into an aligned buffer first.

use std::sync::Arc;

use bytes::Bytes;

use crate::{DataType, Error, Result, Shape};

#[cfg(target_endian = "big")]
compile_error!("tensors hold little-endian bytes and are handed to the model as they are");

#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    name: Arc<str>,
    datatype: DataType,
    shape: Shape,
    data: TensorData,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Elements of one fixed size, little-endian; a `BOOL` is one byte, 0 or 1.
    Fixed(Bytes),
    /// One byte string an element, for `BYTES`.
    Strings(Vec<Bytes>),
}

impl Tensor {
    /// # Errors
    /// When datatype, shape and data do not fit together.
    pub fn new(
        name: impl Into<Arc<str>>,
        datatype: DataType,
        shape: Shape,
        data: TensorData,
    ) -> Result<Self> {
        let name = name.into();
        let Some(elements) = shape.elements() else {
            return Err(Error::invalid(format!(
                "tensor '{name}': the element count of shape {shape} would exceed maximum size"
            )));
        };
        let (unit, expected, found) = match (&data, datatype.size()) {
            (TensorData::Fixed(bytes), Some(size)) => {
                let Some(expected) = elements.checked_mul(size) else {
                    return Err(Error::invalid(format!(
                        "tensor '{name}': byte size overflow for shape {shape} of {datatype}"
                    )));
                };
                ("bytes", expected, bytes.len())
            }
            (TensorData::Strings(strings), None) => ("elements", elements, strings.len()),
            _ => {
                return Err(Error::internal(format!(
                    "tensor '{name}': its data cannot hold {datatype}"
                )));
            }
        };
        if expected != found {
            return Err(Error::invalid(format!(
                "tensor '{name}': shape {shape} of {datatype} needs {expected} {unit}, got {found}"
            )));
        }
        Ok(Self { name, datatype, shape, data })
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn datatype(&self) -> DataType {
        self.datatype
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        match &self.data {
            TensorData::Fixed(bytes) => bytes.len() / self.datatype.size().unwrap_or(1),
            TensorData::Strings(strings) => strings.len(),
        }
    }

    /// Bytes of payload held in memory.
    pub fn byte_size(&self) -> usize {
        match &self.data {
            TensorData::Fixed(bytes) => bytes.len(),
            TensorData::Strings(strings) => strings.iter().map(Bytes::len).sum(),
        }
    }

    /// The same values under another name (shares the specification's copy of it).
    #[must_use]
    pub fn renamed(mut self, name: Arc<str>) -> Self {
        self.name = name;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_must_fill_its_shape_exactly() {
        let make = |shape: &[usize], bytes: usize| {
            let data = TensorData::Fixed(Bytes::from(vec![0; bytes]));
            Tensor::new("x", DataType::Fp32, Shape::new(shape), data)
        };
        assert!(make(&[2, 3], 24).is_ok());
        assert!(make(&[], 4).is_ok());
        assert!(make(&[0, 3], 0).is_ok());
        let short = make(&[2, 3], 23).unwrap_err();
        assert_eq!(short.message(), "tensor 'x': shape [2,3] of FP32 needs 24 bytes, got 23");
        assert!(make(&[usize::MAX, 2], 0).is_err());
        assert!(make(&[usize::MAX], 0).is_err());
    }

    #[test]
    fn strings_are_counted_by_element() {
        let strings = TensorData::Strings(vec![Bytes::from_static(b"a"), Bytes::new()]);
        let tensor = Tensor::new("s", DataType::Bytes, Shape::new(&[2]), strings).unwrap();
        assert_eq!((tensor.elements(), tensor.byte_size()), (2, 1));
    }
}
