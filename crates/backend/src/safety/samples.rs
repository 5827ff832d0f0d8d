//! Two different requests that could share a batch: among those that were given, or made up.
//!
//! Made-up values are always the same (a fixed seed), and B's numbers are four times as large as
//! A's: a model that scales by the range of its batch then treats A differently beside B.

use bytes::Bytes;
use tidegate_batcher::InputAxis;
use tidegate_inference::{DataType, Dim, Shape, Signature, Tensor, TensorData, TensorSpec};

/// Lengths to try for dynamic dimensions that hold no rows: enough for text, for small images, for
/// images that are halved five times, and 1 for whatever is a row in disguise.
const LENGTHS: [usize; 4] = [4, 32, 224, 1];
/// Rows of B to try. Two show more; some models take one at a time.
const ROWS_OF_B: [usize; 2] = [2, 1];
/// Larger made-up requests are not worth their memory.
const MAX_ELEMENTS: usize = 1 << 24;

/// Two requests and their rows. Shared inputs are equal.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) requests: [Vec<Tensor>; 2],
    pub(super) rows: [usize; 2],
}

impl Pair {
    /// The first two of the samples that differ and can be stacked along these axes.
    pub(super) fn among(samples: &[Vec<Tensor>], axes: &[InputAxis]) -> Option<Self> {
        samples.iter().enumerate().find_map(|(index, first)| {
            samples[index + 1..].iter().find_map(|second| Self::of(first, second, axes))
        })
    }

    fn of(first: &[Tensor], second: &[Tensor], axes: &[InputAxis]) -> Option<Self> {
        let rows = [rows(first, axes)?, rows(second, axes)?];
        let mut second = second.to_vec();
        let mut differs = false;
        for ((a, b), axis) in first.iter().zip(&mut second).zip(axes) {
            match *axis {
                InputAxis::Shared => *b = a.clone(),
                InputAxis::Rows(axis) => {
                    if a.shape().len() != b.shape().len()
                        || a.shape().with_dim(axis, 0) != b.shape().with_dim(axis, 0)
                    {
                        return None;
                    }
                    differs |= a.data() != b.data();
                }
            }
        }
        differs.then(|| Self { requests: [first.to_vec(), second], rows })
    }
}

/// `None` when the inputs disagree, or there are no rows.
fn rows(request: &[Tensor], axes: &[InputAxis]) -> Option<usize> {
    let mut lengths = request.iter().zip(axes).filter_map(|(tensor, axis)| match *axis {
        InputAxis::Rows(axis) => Some(tensor.shape().get(axis).copied().unwrap_or(0)),
        InputAxis::Shared => None,
    });
    let rows = lengths.next().filter(|rows| *rows > 0)?;
    lengths.all(|length| length == rows).then_some(rows)
}

/// Of each kind of values, pairs to try until the model accepts one.
pub(super) fn generated(
    signature: &Signature,
    axes: &[InputAxis],
) -> impl Iterator<Item = impl Iterator<Item = Pair>> {
    [Values::Wide, Values::Small].into_iter().map(move |values| {
        let sizes = LENGTHS
            .into_iter()
            .flat_map(|length| ROWS_OF_B.into_iter().map(move |rows_b| (length, [1, rows_b])));
        sizes.filter_map(move |(length, rows)| generate(signature, axes, values, length, rows))
    })
}

fn generate(
    signature: &Signature,
    axes: &[InputAxis],
    values: Values,
    length: usize,
    rows: [usize; 2],
) -> Option<Pair> {
    let mut random = Random(0x7469_6465_6761_7465);
    let mut request = |which: usize| {
        let inputs = signature.inputs.iter().zip(axes);
        inputs
            .map(|(spec, axis)| {
                let shape = shape_of(spec, *axis, length, rows[which]);
                shape.elements().filter(|elements| *elements <= MAX_ELEMENTS)?;
                tensor(spec, shape, values, which, &mut random)
            })
            .collect::<Option<Vec<Tensor>>>()
    };
    let (first, second) = (request(0)?, request(1)?);
    Pair::of(&first, &second, axes)
}

fn shape_of(spec: &TensorSpec, axis: InputAxis, length: usize, rows: usize) -> Shape {
    let dims = spec.shape.iter().enumerate();
    dims.map(|(index, dim)| match dim {
        Dim::Fixed(fixed) => *fixed,
        Dim::Dynamic if axis == InputAxis::Rows(index) => rows,
        Dim::Dynamic => length,
    })
    .collect()
}

/// Kinds of values. Neither suits every model: an index must be small, a mask is 0 or 1, and a
/// difference shows best between numbers that are far apart.
#[derive(Clone, Copy, Debug)]
enum Values {
    /// Numbers of both signs, whole ones up to 99, words.
    Wide,
    /// Numbers from 0 to 1, whole ones 0 or 1, digits.
    Small,
}

fn tensor(
    spec: &TensorSpec,
    shape: Shape,
    values: Values,
    which: usize,
    random: &mut Random,
) -> Option<Tensor> {
    let elements = shape.elements()?;
    let data = if spec.datatype == DataType::Bytes {
        TensorData::Strings((0..elements).map(|_| values.text(which, random)).collect())
    } else {
        let mut bytes = Vec::with_capacity(elements * spec.datatype.size()?);
        for element in 0..elements {
            values.put(spec.datatype, which, element == 0, random, &mut bytes);
        }
        TensorData::Fixed(bytes.into())
    };
    Tensor::new(spec.name.clone(), spec.datatype, shape, data).ok()
}

impl Values {
    /// One element. The first one of A differs from the first one of B, whatever the dice say.
    fn put(
        self,
        datatype: DataType,
        which: usize,
        is_first: bool,
        random: &mut Random,
        into: &mut Vec<u8>,
    ) {
        let spread = if which == 0 { 1.0 } else { 4.0 };
        let real = match self {
            Self::Wide => (2.0 * random.fraction() - 1.0) * spread,
            Self::Small => random.fraction() * spread / 4.0,
        };
        let below: u8 = match self {
            Self::Wide if which == 0 => 25,
            Self::Wide => 100,
            Self::Small => 2,
        };
        let bit = u8::from(which == 1);
        let whole = if is_first { bit } else { (random.next() % u64::from(below)) as u8 };
        match datatype {
            DataType::Bool => into.push(if is_first { bit } else { whole % 2 }),
            DataType::Uint8 | DataType::Int8 => into.push(whole),
            DataType::Uint16 | DataType::Int16 => into.extend(u16::from(whole).to_le_bytes()),
            DataType::Uint32 | DataType::Int32 => into.extend(u32::from(whole).to_le_bytes()),
            DataType::Uint64 | DataType::Int64 => into.extend(u64::from(whole).to_le_bytes()),
            DataType::Fp16 => into.extend(half::f16::from_f64(real).to_le_bytes()),
            DataType::Bf16 => into.extend(half::bf16::from_f64(real).to_le_bytes()),
            DataType::Fp32 => into.extend((real as f32).to_le_bytes()),
            DataType::Fp64 => into.extend(real.to_le_bytes()),
            DataType::Bytes => {}
        }
    }

    fn text(self, which: usize, random: &mut Random) -> Bytes {
        match self {
            Self::Small => Bytes::from(format!("{}", random.next() % 10)),
            Self::Wide => {
                let words = 1 + which + (random.next() % 3) as usize;
                let words: Vec<String> = (0..words)
                    .map(|_| {
                        let letters = 1 + random.next() % 5;
                        (0..letters)
                            .map(|_| char::from(b'a' + (random.next() % 26) as u8))
                            .collect()
                    })
                    .collect();
                Bytes::from(words.join(" "))
            }
        }
    }
}

/// `SplitMix64`: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to just below 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
