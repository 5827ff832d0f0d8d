//! What a backend reads: views of a batch's inputs, and the pooled memory behind them.
//!
//! A payload is copied once on its way in, from the wire into the buffer of its batch. The buffers
//! belong to one instance and keep their memory from batch to batch: a fresh 40 MB allocation
//! would spend more on page faults than on the copy. What only a rare large batch needed is given back
//! after a while. A batch of one request whose bytes happen to be aligned is not copied at all.

use bytes::Bytes;
use tidegate_inference::{DataType, Error, ErrorKind, Result, Shape, Tensor, TensorData};

use crate::rows::{for_each_fixed_piece, for_each_string};

/// One tensor as the engine is given it.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    pub name: &'a str,
    pub datatype: DataType,
    pub shape: Shape,
    pub data: ViewData<'a>,
}

#[derive(Clone, Debug)]
pub enum ViewData<'a> {
    /// Little-endian elements, aligned for their datatype.
    Fixed(&'a [u8]),
    Strings(Vec<&'a Bytes>),
}

/// Reusable memory for the inputs of one batch after another.
#[derive(Default)]
pub struct InputBuffers(Vec<AlignedBuffer>);

impl InputBuffers {
    /// One request's tensors as views; copies those that are not aligned.
    ///
    /// # Panics
    /// When there is no memory for the copies.
    pub fn views<'a>(&'a mut self, tensors: &'a [Tensor]) -> Vec<TensorView<'a>> {
        self.try_views(tensors).expect("there is memory for a copy of one request")
    }

    /// The same, for whoever can do without.
    ///
    /// # Errors
    /// When there is no memory for the copies.
    pub fn try_views<'a>(&'a mut self, tensors: &'a [Tensor]) -> Result<Vec<TensorView<'a>>> {
        let parts =
            tensors.iter().map(|tensor| GatherPlan { axis: 0, of: std::iter::once(tensor) });
        self.gather(parts)
    }

    /// One view for each plan.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub(crate) fn gather<'a, T>(
        &'a mut self,
        plans: impl ExactSizeIterator<Item = GatherPlan<T>>,
    ) -> Result<Vec<TensorView<'a>>>
    where
        T: Iterator<Item = &'a Tensor> + Clone,
    {
        if self.0.len() < plans.len() {
            self.0.resize_with(plans.len(), AlignedBuffer::default);
        }
        self.0.iter_mut().zip(plans).map(|(buffer, plan)| plan.carry_out(buffer)).collect()
    }
}

/// The tensors of several requests that are to stand behind each other along an axis.
pub(crate) struct GatherPlan<T> {
    pub(crate) axis: usize,
    pub(crate) of: T,
}

impl<'a, T: Iterator<Item = &'a Tensor> + Clone> GatherPlan<T> {
    fn carry_out(self, buffer: &'a mut AlignedBuffer) -> Result<TensorView<'a>> {
        let Self { axis, of } = self;
        let first = of.clone().next().expect("a batch has a member");
        let alone = of.clone().nth(1).is_none();
        let shape = if alone {
            first.shape().clone()
        } else {
            first.shape().with_dim(axis, of.clone().map(|tensor| tensor.shape()[axis]).sum())
        };
        let data = match first.data() {
            TensorData::Fixed(bytes) if alone && is_aligned(bytes, first.datatype()) => {
                ViewData::Fixed(bytes)
            }
            TensorData::Fixed(bytes) if alone => {
                ViewData::Fixed(buffer.fill(bytes.len(), |mut into| into.put(bytes))?)
            }
            TensorData::Fixed(_) => {
                let length = of.clone().map(Tensor::byte_size).sum();
                ViewData::Fixed(buffer.fill(length, |mut into| {
                    for_each_fixed_piece(axis, of, |piece| into.put(piece));
                })?)
            }
            TensorData::Strings(strings) if alone => ViewData::Strings(strings.iter().collect()),
            TensorData::Strings(_) => {
                let mut strings = Vec::new();
                for_each_string(axis, of, |string| strings.push(string));
                ViewData::Strings(strings)
            }
        };
        Ok(TensorView { name: first.name(), datatype: first.datatype(), shape, data })
    }
}

fn is_aligned(bytes: &[u8], datatype: DataType) -> bool {
    bytes.as_ptr().addr().is_multiple_of(datatype.size().unwrap_or(1))
}

/// Fills after which a buffer is fitted to the largest of them. It is fitted only when it could be half as
/// large, and when that is worth a thought: small blocks do not go back to the system anyway.
const FITTED_AFTER: u32 = 256;
const WORTH_FITTING: usize = (1 << 20) / size_of::<u64>();

/// Memory aligned for every datatype (8 bytes).
#[derive(Default)]
struct AlignedBuffer {
    words: Vec<u64>,
    /// Since it was fitted last.
    fills: u32,
    largest: usize,
}

/// The part of a buffer that is still to be written.
struct Unwritten<'a>(&'a mut [u8]);

impl Unwritten<'_> {
    fn put(&mut self, piece: &[u8]) {
        let (here, rest) = std::mem::take(&mut self.0).split_at_mut(piece.len());
        here.copy_from_slice(piece);
        self.0 = rest;
    }
}

impl AlignedBuffer {
    fn fill(&mut self, length: usize, write: impl FnOnce(Unwritten<'_>)) -> Result<&[u8]> {
        let words = length.div_ceil(size_of::<u64>());
        self.fit(words);
        if self.words.len() < words {
            // What is in it is not needed any more, so it is not carried over.
            self.words.clear();
            self.words.try_reserve_exact(words).map_err(|_| no_memory(length))?;
            self.words.resize(words, 0);
        }
        let bytes = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut self.words)[..length];
        write(Unwritten(bytes));
        Ok(bytes)
    }

    fn fit(&mut self, words: usize) {
        self.fills += 1;
        self.largest = self.largest.max(words);
        if self.fills < FITTED_AFTER {
            return;
        }
        let kept = self.words.capacity();
        if kept >= WORTH_FITTING && self.largest <= kept / 2 {
            self.words.truncate(self.largest);
            self.words.shrink_to_fit();
        }
        (self.fills, self.largest) = (0, words);
    }
}

fn no_memory(bytes: usize) -> Error {
    let message = format!("there is no memory for {bytes} bytes of input");
    Error::new(ErrorKind::ModelFailed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(bytes: Bytes, shape: &[usize]) -> Tensor {
        Tensor::new("x", DataType::Fp32, Shape::new(shape), TensorData::Fixed(bytes)).unwrap()
    }

    fn fixed<'a>(view: &TensorView<'a>) -> &'a [u8] {
        match view.data {
            ViewData::Fixed(bytes) => bytes,
            ViewData::Strings(_) => panic!("fixed"),
        }
    }

    #[test]
    fn an_unaligned_window_into_a_body_is_copied_to_an_aligned_place() {
        let body = Bytes::from((0..13).collect::<Vec<u8>>());
        let mut buffers = InputBuffers::default();
        for start in 0..4 {
            let tensors = [tensor(body.slice(start..start + 8), &[2])];
            let views = buffers.views(&tensors);
            assert_eq!(fixed(&views[0]), &body[start..start + 8]);
            assert!(is_aligned(fixed(&views[0]), DataType::Fp32));
        }
    }

    #[test]
    fn the_buffer_is_reused_when_it_is_large_enough() {
        let mut buffer = AlignedBuffer::default();
        let large = buffer.fill(64, |mut into| into.put(&[1; 64])).unwrap().as_ptr();
        let small = buffer.fill(3, |mut into| into.put(&[2; 3])).unwrap();
        assert_eq!((small.as_ptr(), small), (large, &[2, 2, 2][..]));
    }

    #[test]
    fn what_only_a_rare_large_batch_needed_is_given_back() {
        let mut buffer = AlignedBuffer::default();
        let mut fill = |length: usize| {
            buffer.fill(length, |_| {}).unwrap();
            buffer.words.capacity() * size_of::<u64>()
        };
        assert_eq!(fill(64 << 20), 64 << 20);
        let usual = 2 << 20;
        for _ in 0..FITTED_AFTER - 2 {
            assert_eq!(fill(usual), 64 << 20, "not before it is known to be rare");
        }
        fill(usual);
        let later: Vec<usize> = (0..FITTED_AFTER).map(|_| fill(usual)).collect();
        assert_eq!(later.last(), Some(&usual));
    }

    #[test]
    fn a_batch_that_is_larger_than_memory_is_an_error_and_the_buffer_goes_on() {
        let mut buffer = AlignedBuffer::default();
        let error = buffer.fill(isize::MAX as usize, |_| {}).unwrap_err();
        assert!(error.message().contains("no memory"), "{error}");
        assert_eq!(buffer.fill(3, |mut into| into.put(&[2; 3])).unwrap(), [2; 3]);
    }
}
