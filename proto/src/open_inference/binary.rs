//! The binary tensor extension: tensors as raw bytes behind the JSON, little-endian, row-major. Values
//! that are read are windows into the body, checked but not copied.

use bytes::Bytes;
use tidegate_inference::{DataType, Dim, Error, Shape, Signature, Tensor, TensorData};

use crate::DecodeError;
use crate::role::Role;

/// Name of the header that says how many bytes of a body are JSON, in requests and responses.
pub const JSON_LENGTH_HEADER: &str = "inference-header-content-length";

/// Value of `Inference-Header-Content-Length`; 0 is a raw binary request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLength(i32);

impl HeaderLength {
    /// From the header's text.
    pub fn parse(text: &[u8]) -> Result<Self, DecodeError> {
        std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .map(Self)
            .ok_or_else(|| {
                DecodeError::invalid(format!(
                    "Unable to parse Inference-Header-Content-Length, got: {:.40}",
                    String::from_utf8_lossy(text)
                ))
            })
    }

    /// Where it says that the JSON ends, whatever that is worth; 0 if it cannot be.
    pub fn claimed(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Where in a body of `size` bytes the JSON ends.
    pub(super) fn within(self, size: usize) -> Result<usize, DecodeError> {
        usize::try_from(self.0).ok().filter(|length| *length <= size).ok_or_else(|| {
            DecodeError::invalid(format!(
                "inference header size should be in range (0, {size}), got: {}",
                self.0
            ))
        })
    }
}

/// Takes the tensors out of a body's binary section, in the order in which the JSON names them.
pub(super) struct Section {
    role: Role,
    rest: Bytes,
}

impl Section {
    pub(super) fn new(role: Role, rest: Bytes) -> Self {
        Self { role, rest }
    }

    pub(super) fn take(
        &mut self,
        name: String,
        datatype: DataType,
        shape: Shape,
        size: usize,
    ) -> Result<Tensor, DecodeError> {
        if size > self.rest.len() {
            return Err(DecodeError::invalid(format!(
                "unexpected size for {} '{name}', expecting {} additional bytes for model",
                self.role,
                size - self.rest.len()
            )));
        }
        tensor(self.role, name, datatype, shape, self.rest.split_to(size))
    }

    /// Every byte must have been some tensor's.
    pub(super) fn finish(self, tensors: usize) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError::invalid(format!(
            "unexpected additional {role} data for model: {} bytes after the {tensors} {role}s",
            self.rest.len(),
            role = self.role
        )))
    }
}

/// A raw binary request: the whole body is the model's one input, and its batch is 1.
pub(super) fn raw_request(body: &Bytes, signature: &Signature) -> Result<Tensor, DecodeError> {
    let [spec] = &signature.inputs[..] else {
        return Err(DecodeError::invalid(format!(
            "a raw binary request needs a model with one input, this one has {}",
            signature.inputs.len()
        )));
    };
    let name = spec.name.to_string();
    // The outermost dimension is the batch when it is open.
    let dims = spec.shape.iter().enumerate().map(|(axis, dim)| match dim {
        Dim::Dynamic if axis == 0 => Dim::Fixed(1),
        dim => *dim,
    });
    let shape = raw_shape(dims, spec.datatype, body.len()).ok_or_else(|| {
        DecodeError::invalid(format!(
            "input '{name}': a raw binary request of {} bytes does not determine its shape",
            body.len()
        ))
    })?;
    if spec.datatype == DataType::Bytes {
        let data = TensorData::Strings(vec![body.clone()]);
        return Ok(Tensor::new(name, spec.datatype, shape, data)?);
    }
    tensor(Role::Input, name, spec.datatype, shape, body.clone())
}

/// Fills the one open dimension, if there is one, from the number of bytes.
fn raw_shape(
    dims: impl Iterator<Item = Dim> + Clone,
    datatype: DataType,
    bytes: usize,
) -> Option<Shape> {
    let elements = datatype.size().map_or(1, |size| bytes / size);
    let open = dims.clone().filter(|dim| *dim == Dim::Dynamic).count();
    let known = dims.clone().try_fold(1_usize, |product, dim| match dim {
        Dim::Fixed(length) => product.checked_mul(length),
        Dim::Dynamic => Some(product),
    })?;
    if open > 1 {
        return None;
    }
    let length = elements.checked_div(known).unwrap_or(0);
    Some(dims.map(|dim| if let Dim::Fixed(length) = dim { length } else { length }).collect())
}

/// A tensor from the bytes that it takes in a binary section.
pub(crate) fn tensor(
    role: Role,
    name: String,
    datatype: DataType,
    shape: Shape,
    bytes: Bytes,
) -> Result<Tensor, DecodeError> {
    let Some(size) = datatype.size() else {
        let strings = strings(role, &name, &shape, bytes)?;
        return Ok(Tensor::new(name, datatype, shape, TensorData::Strings(strings))?);
    };
    let expected = shape.elements().and_then(|elements| elements.checked_mul(size));
    match expected {
        None => {
            return Err(DecodeError::invalid(format!(
                "{role} '{name}': byte size overflow: shape {shape} of {datatype} would exceed maximum size"
            )));
        }
        Some(expected) if expected != bytes.len() => {
            return Err(DecodeError::invalid(format!(
                "{role} byte size mismatch for {role} '{name}'. Expected {expected}, got {}",
                bytes.len()
            )));
        }
        Some(_) => {}
    }
    if datatype == DataType::Bool
        && let Some(byte) = bytes.iter().find(|byte| **byte > 1)
    {
        return Err(DecodeError::invalid(format!(
            "{role} '{name}': expected BOOL bytes of 0 or 1, got {byte}"
        )));
    }
    Ok(Tensor::new(name, datatype, shape, TensorData::Fixed(bytes))?)
}

/// Byte strings, each behind its length as u32.
fn strings(role: Role, name: &str, shape: &Shape, mut bytes: Bytes) -> Result<Vec<Bytes>, Error> {
    let mut strings = Vec::with_capacity(shape.elements().unwrap_or(0).min(bytes.len() / 4));
    while !bytes.is_empty() {
        let Some((length, _)) = bytes.split_first_chunk::<4>() else {
            return Err(Error::invalid(format!(
                "incomplete string length data for inference {role} '{name}', expecting string length \
                 data but only {} bytes available",
                bytes.len()
            )));
        };
        let length = u32::from_le_bytes(*length) as usize;
        let mut rest = bytes.split_off(4);
        if length > rest.len() {
            return Err(Error::invalid(format!(
                "incomplete string data for inference {role} '{name}', expecting string of length \
                 {length} but only {} bytes available",
                rest.len()
            )));
        }
        bytes = rest.split_off(length);
        strings.push(rest);
    }
    match shape.elements() {
        Some(elements) if elements == strings.len() => Ok(strings),
        expected => Err(Error::invalid(format!(
            "unexpected number of string elements {} for inference {role} '{name}', expecting {}",
            strings.len(),
            expected.map_or_else(|| "too many to count".to_owned(), |count| count.to_string())
        ))),
    }
}

/// The bytes that a tensor takes in a binary section.
pub(crate) fn serialize(tensor: &Tensor) -> Result<Bytes, Error> {
    let strings = match tensor.data() {
        TensorData::Fixed(bytes) => return Ok(bytes.clone()),
        TensorData::Strings(strings) => strings,
    };
    let mut out = Vec::with_capacity(tensor.byte_size() + 4 * strings.len());
    for string in strings {
        let length = u32::try_from(string.len()).map_err(|_| {
            Error::internal(format!(
                "tensor '{}': a string of {} bytes does not fit the binary form",
                tensor.name(),
                string.len()
            ))
        })?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(string);
    }
    Ok(out.into())
}
