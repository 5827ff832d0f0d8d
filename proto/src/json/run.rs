//! The hot loop: numbers with commas between them, straight into bytes of one datatype. It is compiled
//! once for each datatype, so that nothing in it asks which one it is.

use half::{bf16, f16};
use tidegate_inference::DataType;

use super::number::Number;
use super::reader::{Reader, Result};

/// How a run of numbers ended.
pub(crate) struct Run<'a> {
    pub(crate) count: usize,
    /// The number that the datatype cannot hold.
    pub(crate) unfit: Option<Number<'a>>,
}

/// Reads up to `limit` numbers, of which the first comes next, and appends them little-endian. Stops in
/// front of anything else, a comma before it included.
pub(crate) fn read_numbers<'a>(
    reader: &mut Reader<'a>,
    datatype: DataType,
    limit: usize,
    bytes: &mut Vec<u8>,
) -> Result<Run<'a>> {
    macro_rules! integers {
        ($type:ty) => {
            run(reader, limit, bytes, |number| {
                <$type>::try_from(number.to_integer()?).ok().map(<$type>::to_le_bytes)
            })
        };
    }
    match datatype {
        DataType::Fp32 => run(reader, limit, bytes, |number| number.to_f32().map(f32::to_le_bytes)),
        DataType::Fp64 => run(reader, limit, bytes, |number| number.to_f64().map(f64::to_le_bytes)),
        DataType::Fp16 => run(reader, limit, bytes, |number| {
            number.to_f64().map(|value| f16::from_f64(value).to_le_bytes())
        }),
        DataType::Bf16 => run(reader, limit, bytes, |number| {
            number.to_f64().map(|value| bf16::from_f64(value).to_le_bytes())
        }),
        DataType::Int8 => integers!(i8),
        DataType::Int16 => integers!(i16),
        DataType::Int32 => integers!(i32),
        DataType::Int64 => integers!(i64),
        DataType::Uint8 => integers!(u8),
        DataType::Uint16 => integers!(u16),
        DataType::Uint32 => integers!(u32),
        DataType::Uint64 => integers!(u64),
        DataType::Bool | DataType::Bytes => run(reader, limit, bytes, |_| None::<[u8; 0]>),
    }
}

#[inline]
fn run<'a, const SIZE: usize>(
    reader: &mut Reader<'a>,
    limit: usize,
    bytes: &mut Vec<u8>,
    convert: impl Fn(&Number<'a>) -> Option<[u8; SIZE]>,
) -> Result<Run<'a>> {
    let mut count = 0;
    // On a copy, so that its position can live in a register.
    let mut here = *reader;
    let unfit = loop {
        let number = here.number()?;
        let Some(element) = convert(&number) else {
            break Some(number);
        };
        bytes.extend_from_slice(&element);
        count += 1;
        if count == limit || !here.skip_comma_before_number() {
            break None;
        }
    };
    *reader = here;
    Ok(Run { count, unfit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JsonLimits;

    fn read(datatype: DataType, text: &str) -> (Run<'_>, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut reader = Reader::new(text.as_bytes(), JsonLimits::default());
        let run = read_numbers(&mut reader, datatype, usize::MAX, &mut bytes).unwrap();
        (run, bytes)
    }

    #[test]
    fn integers_refuse_what_they_cannot_hold() {
        for (datatype, lowest, below, highest, above) in [
            (DataType::Int8, "-128", "-129", "127", "128"),
            (DataType::Int16, "-32768", "-32769", "32767", "32768"),
            (DataType::Int32, "-2147483648", "-2147483649", "2147483647", "2147483648"),
            (
                DataType::Int64,
                "-9223372036854775808",
                "-9223372036854775809",
                "9223372036854775807",
                "9223372036854775808",
            ),
            (DataType::Uint8, "-0", "-1", "255", "256"),
            (DataType::Uint16, "0", "-1", "65535", "65536"),
            (DataType::Uint32, "0", "-1", "4294967295", "4294967296"),
            (DataType::Uint64, "0", "-1", "18446744073709551615", "18446744073709551616"),
        ] {
            let text = format!("{lowest},{highest}");
            let (run, bytes) = read(datatype, &text);
            assert_eq!((run.count, bytes.len()), (2, 2 * datatype.size().unwrap()));
            for bad in [below, above, "1.5", "NaN"] {
                let (run, _) = read(datatype, bad);
                assert_eq!(run.unfit.unwrap().token(), bad, "{datatype} {bad}");
            }
        }
        assert_eq!(read(DataType::Int64, "-2").1, (-2_i64).to_le_bytes());
        assert_eq!(read(DataType::Uint64, "18446744073709551615").1, [255; 8]);
    }

    #[test]
    fn half_floats_overflow_too() {
        assert_eq!(read(DataType::Fp16, "65520").1, f16::INFINITY.to_le_bytes());
        assert_eq!(read(DataType::Bf16, "1.5").1, bf16::from_f32(1.5).to_le_bytes());
    }

    #[test]
    fn a_run_ends_before_anything_that_is_no_number() {
        for (text, count) in [("1, 2 ,3]", 3), ("1,[2]", 1), ("1,\"a\"", 1), ("1", 1), ("1,", 1)] {
            assert_eq!(read(DataType::Uint8, text).0.count, count, "{text}");
        }
        let mut reader = Reader::new(b"1,2", JsonLimits::default());
        assert_eq!(
            read_numbers(&mut reader, DataType::Uint8, 1, &mut Vec::new()).unwrap().count,
            1
        );
        assert_eq!(reader.remaining(), 2);
    }
}
