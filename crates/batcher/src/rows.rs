//! Cutting rows out of a tensor and joining them again, along any axis.
//!
//! A row-major tensor seen from one of its axes is `outer` repetitions of `rows` blocks of `inner`
//! elements. On axis 0 (outer = 1) a range of rows is one piece of memory, and cutting it out
//! copies nothing; on a later axis the pieces lie apart and are copied together.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tidegate_inference::{Shape, Tensor, TensorData};

/// How a tensor looks from one of its axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strides {
    pub(crate) outer: usize,
    pub(crate) rows: usize,
    pub(crate) inner: usize,
}

impl Strides {
    /// # Panics
    /// When the shape has no such axis.
    pub(crate) fn of(shape: &Shape, axis: usize) -> Self {
        Self {
            outer: shape[..axis].iter().product(),
            rows: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        }
    }
}

/// Rows `range` along `axis`. On axis 0 the result shares the tensor's memory.
///
/// # Panics
/// When the tensor has no such axis or no such rows.
pub fn slice_rows(tensor: &Tensor, axis: usize, range: Range<usize>) -> Tensor {
    let Strides { outer, rows, inner } = Strides::of(tensor.shape(), axis);
    assert!(range.start <= range.end && range.end <= rows, "rows {range:?} of {rows}");
    let pieces =
        (0..outer).map(|o| (o * rows + range.start) * inner..(o * rows + range.end) * inner);
    let data = match tensor.data() {
        TensorData::Fixed(bytes) => {
            let size = tensor.datatype().size().expect("fixed data has elements of one size");
            let mut pieces = pieces.map(|piece| piece.start * size..piece.end * size);
            TensorData::Fixed(match (outer, pieces.next()) {
                (1, Some(piece)) => bytes.slice(piece),
                (_, first) => {
                    let mut joined = BytesMut::with_capacity(outer * range.len() * inner * size);
                    for piece in first.into_iter().chain(pieces) {
                        joined.extend_from_slice(&bytes[piece]);
                    }
                    joined.freeze()
                }
            })
        }
        TensorData::Strings(strings) => {
            TensorData::Strings(pieces.flat_map(|piece| strings[piece].iter().cloned()).collect())
        }
    };
    rebuilt(tensor, tensor.shape().with_dim(axis, range.len()), data)
}

/// Joins tensors that agree in everything but their length along `axis`.
///
/// # Panics
/// When there is none, or they do not agree.
pub fn concat_rows(axis: usize, parts: &[Tensor]) -> Tensor {
    let first = parts.first().expect("at least one part");
    if parts.len() == 1 {
        return first.clone();
    }
    let rows = parts.iter().map(|part| part.shape()[axis]).sum();
    let shape = first.shape().with_dim(axis, rows);
    let data = match first.data() {
        TensorData::Fixed(_) => {
            let mut joined = BytesMut::with_capacity(parts.iter().map(Tensor::byte_size).sum());
            for_each_fixed_piece(axis, parts, |piece| joined.extend_from_slice(piece));
            TensorData::Fixed(joined.freeze())
        }
        TensorData::Strings(_) => {
            let mut joined = Vec::with_capacity(parts.iter().map(Tensor::elements).sum());
            for_each_string(axis, parts, |string| joined.push(string.clone()));
            TensorData::Strings(joined)
        }
    };
    rebuilt(first, shape, data)
}

/// Visits, in the order of the joined tensor, the pieces of memory that make it up.
pub(crate) fn for_each_fixed_piece<'a>(
    axis: usize,
    parts: impl IntoIterator<Item = &'a Tensor, IntoIter: Clone>,
    mut visit: impl FnMut(&'a [u8]),
) {
    let parts = parts.into_iter();
    let outer = parts.clone().next().map_or(0, |part| Strides::of(part.shape(), axis).outer);
    for o in 0..outer {
        for part in parts.clone() {
            if let TensorData::Fixed(bytes) = part.data() {
                let block = bytes.len() / outer;
                visit(&bytes[o * block..(o + 1) * block]);
            }
        }
    }
}

/// The same for strings, one by one.
pub(crate) fn for_each_string<'a>(
    axis: usize,
    parts: impl IntoIterator<Item = &'a Tensor, IntoIter: Clone>,
    mut visit: impl FnMut(&'a Bytes),
) {
    let parts = parts.into_iter();
    let outer = parts.clone().next().map_or(0, |part| Strides::of(part.shape(), axis).outer);
    for o in 0..outer {
        for part in parts.clone() {
            if let TensorData::Strings(strings) = part.data() {
                let block = strings.len() / outer;
                strings[o * block..(o + 1) * block].iter().for_each(&mut visit);
            }
        }
    }
}

fn rebuilt(like: &Tensor, shape: Shape, data: TensorData) -> Tensor {
    Tensor::new(Arc::clone(like.name()), like.datatype(), shape, data)
        .expect("pieces of a valid tensor, counted along one axis, fill the new shape")
}

#[cfg(test)]
mod tests {
    use tidegate_inference::DataType;

    use super::*;

    fn numbered(shape: &[usize]) -> Tensor {
        let shape = Shape::new(shape);
        let bytes: Vec<u8> = (0..shape.elements().unwrap() as u8).collect();
        Tensor::new("x", DataType::Uint8, shape, TensorData::Fixed(bytes.into())).unwrap()
    }

    fn bytes(tensor: &Tensor) -> &[u8] {
        match tensor.data() {
            TensorData::Fixed(bytes) => bytes,
            TensorData::Strings(_) => panic!("fixed"),
        }
    }

    #[test]
    fn rows_of_axis_0_share_the_tensors_memory() {
        let tensor = numbered(&[4, 3]);
        let cut = slice_rows(&tensor, 0, 1..3);
        assert_eq!((&**cut.shape(), bytes(&cut)), (&[2, 3][..], &[3, 4, 5, 6, 7, 8][..]));
        assert_eq!(bytes(&cut).as_ptr(), bytes(&tensor)[3..].as_ptr());
    }

    #[test]
    fn rows_of_a_later_axis_are_collected() {
        let cut = slice_rows(&numbered(&[2, 3, 2]), 1, 1..2);
        assert_eq!((&**cut.shape(), bytes(&cut)), (&[2, 1, 2][..], &[2, 3, 8, 9][..]));
    }

    #[test]
    fn joining_the_pieces_gives_the_tensor_back_on_every_axis() {
        let tensor = numbered(&[3, 4, 2]);
        for axis in 0..3 {
            let rows = tensor.shape()[axis];
            let parts: Vec<Tensor> =
                (0..rows).map(|row| slice_rows(&tensor, axis, row..row + 1)).collect();
            assert_eq!(concat_rows(axis, &parts), tensor, "axis {axis}");
        }
    }

    #[test]
    fn strings_are_cut_and_joined_like_numbers() {
        let words = ["a", "b", "c", "d"].map(|word| Bytes::from_static(word.as_bytes()));
        let tensor = Tensor::new(
            "s",
            DataType::Bytes,
            Shape::new(&[2, 2]),
            TensorData::Strings(words.to_vec()),
        )
        .unwrap();
        let columns = [slice_rows(&tensor, 1, 0..1), slice_rows(&tensor, 1, 1..2)];
        let TensorData::Strings(second) = columns[1].data() else { panic!("strings") };
        assert_eq!(second, &["b", "d"]);
        assert_eq!(concat_rows(1, &columns), tensor);
    }

    #[test]
    fn no_rows_are_fine() {
        let empty = slice_rows(&numbered(&[2, 3]), 1, 1..1);
        assert_eq!((&**empty.shape(), bytes(&empty).len()), (&[2, 0][..], 0));
        assert_eq!(concat_rows(1, &[empty.clone(), empty.clone()]).elements(), 0);
    }
}
