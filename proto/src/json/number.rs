//! One JSON number into one element of a typed buffer, little-endian. Integers refuse fractions and
//! what they cannot hold; floats round to nearest, overflow to infinity and underflow to zero.

use half::{bf16, f16};
use tidegate_inference::DataType;

/// Appends the number written as `token`; `None` when the datatype cannot hold it.
#[inline]
pub(crate) fn push(datatype: DataType, token: &str, bytes: &mut Vec<u8>) -> Option<()> {
    match datatype {
        DataType::Fp32 => bytes.extend_from_slice(&parse_f32(token)?.to_le_bytes()),
        DataType::Fp64 => bytes.extend_from_slice(&token.parse::<f64>().ok()?.to_le_bytes()),
        DataType::Fp16 => {
            bytes.extend_from_slice(&f16::from_f64(token.parse().ok()?).to_le_bytes());
        }
        DataType::Bf16 => {
            bytes.extend_from_slice(&bf16::from_f64(token.parse().ok()?).to_le_bytes());
        }
        DataType::Int8 => bytes.extend_from_slice(&token.parse::<i8>().ok()?.to_le_bytes()),
        DataType::Int16 => bytes.extend_from_slice(&token.parse::<i16>().ok()?.to_le_bytes()),
        DataType::Int32 => bytes.extend_from_slice(&token.parse::<i32>().ok()?.to_le_bytes()),
        DataType::Int64 => bytes.extend_from_slice(&token.parse::<i64>().ok()?.to_le_bytes()),
        DataType::Uint8 => bytes.push(unsigned(token).parse().ok()?),
        DataType::Uint16 => {
            bytes.extend_from_slice(&unsigned(token).parse::<u16>().ok()?.to_le_bytes());
        }
        DataType::Uint32 => {
            bytes.extend_from_slice(&unsigned(token).parse::<u32>().ok()?.to_le_bytes());
        }
        DataType::Uint64 => {
            bytes.extend_from_slice(&unsigned(token).parse::<u64>().ok()?.to_le_bytes());
        }
        DataType::Bool | DataType::Bytes => return None,
    }
    Some(())
}

/// Minus zero is zero, also where nothing is negative.
fn unsigned(token: &str) -> &str {
    if token == "-0" { "0" } else { token }
}

/// As `str::parse` rounds, in a third of the time for what clients send: small integers, and the
/// 17 digits that Python writes for a float that came from an `f32`.
#[inline]
fn parse_f32(token: &str) -> Option<f32> {
    match quick_f32(token.as_bytes()) {
        Some(value) => Some(value),
        None => token.parse().ok(),
    }
}

/// The value by way of `f64`, where that is certain to round to the same `f32`.
///
/// With at most 19 digits and a power of ten that `f64` holds exactly, the `f64` is off by at most
/// one unit in its last place (one rounding of the digits, one of the scaling). Only a value that near to the
/// middle between two neighbouring `f32` could round the wrong way, and those are declined.
#[inline]
fn quick_f32(token: &[u8]) -> Option<f32> {
    let (negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut mantissa = 0_u64;
    let mut point = None;
    if digits.len() > 20 {
        return None;
    }
    for (index, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa.checked_mul(10)?.checked_add(u64::from(digit))?;
        } else if byte == b'.' {
            point = Some(index);
        } else {
            return None;
        }
    }
    let decimals = point.map_or(0, |index| digits.len() - index - 1);
    let value = mantissa as f64 / POWERS_OF_TEN[decimals];
    let below_f32 = value.to_bits() & ((1 << 29) - 1);
    let tie_distance = below_f32.abs_diff(1 << 28);
    (tie_distance > 2).then_some(if negative { -(value as f32) } else { value as f32 })
}

/// Exact in `f64`.
const POWERS_OF_TEN: [f64; 20] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(datatype: DataType, token: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        push(datatype, token, &mut bytes).map(|()| bytes)
    }

    fn f32_of(token: &str) -> f32 {
        f32::from_le_bytes(read(DataType::Fp32, token).unwrap().try_into().unwrap())
    }

    #[test]
    fn integers_refuse_fractions_and_what_they_cannot_hold() {
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
            assert_eq!(read(datatype, lowest).unwrap().len(), datatype.size().unwrap());
            assert!(read(datatype, highest).is_some(), "{datatype} {highest}");
            for bad in [below, above, "1.5", "1.0", "1e2", "NaN", "Infinity"] {
                assert!(read(datatype, bad).is_none(), "{datatype} {bad}");
            }
        }
    }

    #[test]
    fn floats_overflow_to_infinity_and_underflow_to_zero() {
        assert_eq!(f32_of("1e999"), f32::INFINITY);
        assert_eq!(f32_of("-1e39"), f32::NEG_INFINITY);
        assert_eq!(f32_of("1e-999").to_bits(), 0);
        assert_eq!(f32_of("-0").to_bits(), (-0.0_f32).to_bits());
        assert_eq!(f32_of("-0.0").to_bits(), (-0.0_f32).to_bits());
        assert!(f32_of("NaN").is_nan());
        assert_eq!(f32_of("-Infinity"), f32::NEG_INFINITY);
        assert_eq!(read(DataType::Fp64, "1e999").unwrap(), f64::INFINITY.to_le_bytes());
        assert_eq!(read(DataType::Fp16, "65520").unwrap(), f16::INFINITY.to_le_bytes());
        assert_eq!(read(DataType::Bf16, "1.5").unwrap(), bf16::from_f32(1.5).to_le_bytes());
    }

    #[test]
    fn the_quick_path_declines_ties() {
        // 2^24 + 1 lies in the middle between two f32.
        assert_eq!(quick_f32(b"16777217"), None);
        assert_eq!(f32_of("16777217"), 16_777_216.0);
        assert_eq!(f32_of("16777219"), 16_777_220.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn f32_rounds_as_the_standard_library_does(token in "-?[0-9]{1,12}(\\.[0-9]{1,12})?") {
            prop_assert_eq!(f32_of(&token).to_bits(), token.parse::<f32>().unwrap().to_bits());
        }

        #[test]
        fn the_neighbourhood_of_ties_rounds_as_the_standard_library_does(
            // 1e-9 to 1e9
            bits in 0x3089_705f_u32..0x4e6e_6b28,
            digits in 10_usize..18,
        ) {
            let (low, high) = (f32::from_bits(bits), f32::from_bits(bits.wrapping_add(1)));
            let middle = (f64::from(low) + f64::from(high)) / 2.0;
            let token = format!("{middle:.digits$}");
            prop_assert_eq!(f32_of(&token).to_bits(), token.parse::<f32>().unwrap().to_bits());
        }

        #[test]
        fn python_style_doubles_give_back_their_f32(value in any::<f32>()) {
            prop_assume!(value.is_finite());
            let token = format!("{:?}", f64::from(value));
            prop_assert_eq!(f32_of(&token).to_bits(), value.to_bits());
        }
    }
}
