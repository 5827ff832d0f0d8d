//! One JSON number, read once: its grammar is checked and its digits are summed up in the same pass,
//! and most numbers become a float or an integer from that sum alone. The rest go through `str::parse`.
//!
//! Integers refuse fractions and what they cannot hold; floats round to nearest, overflow to infinity
//! and underflow to zero.

/// A number as it is written, and what its digits say.
#[derive(Debug)]
pub(crate) struct Number<'a> {
    token: &'a [u8],
    negative: bool,
    /// All digits as one integer; meaningful when there are at most [`MAX_DIGITS`].
    mantissa: u64,
    digits: usize,
    /// The power of ten that the mantissa is to be multiplied with.
    exponent: i32,
    /// Written without point and exponent.
    integral: bool,
}

/// So many digits always fit into 64 bits.
const MAX_DIGITS: usize = 19;

impl<'a> Number<'a> {
    /// Reads the RFC 8259 number that `text` starts with, or the `NaN` or infinity.
    #[inline(always)]
    pub(crate) fn scan(text: &'a [u8]) -> Option<Self> {
        Self::scan_decimal(text).or_else(|| Self::scan_special(text))
    }

    /// As it was written: ASCII, by its grammar.
    pub(crate) fn token(&self) -> &'a str {
        std::str::from_utf8(self.token).unwrap_or_default()
    }

    pub(crate) fn length(&self) -> usize {
        self.token.len()
    }

    #[inline(always)]
    fn scan_decimal(text: &'a [u8]) -> Option<Self> {
        let negative = text.first() == Some(&b'-');
        let mut at = usize::from(negative);
        let start = at;
        let mut mantissa = 0;
        if text.get(at) == Some(&b'0') {
            at += 1;
        } else {
            at = sum_digits(text, at, &mut mantissa);
        }
        let mut digits = at - start;
        if digits == 0 {
            return None;
        }
        let (mut exponent, mut integral) = (0, true);
        if text.get(at) == Some(&b'.') {
            let point = at + 1;
            at = sum_digits(text, sum_eights(text, point, &mut mantissa), &mut mantissa);
            let decimals = at - point;
            if decimals == 0 {
                return None;
            }
            digits += decimals;
            exponent = -i32::try_from(decimals).unwrap_or(i32::MAX);
            integral = false;
        }
        if let Some(b'e' | b'E') = text.get(at) {
            let (end, power) = scan_power(text, at + 1)?;
            at = end;
            exponent = exponent.saturating_add(power);
            integral = false;
        }
        Some(Self { token: &text[..at], negative, mantissa, digits, exponent, integral })
    }

    /// In the spellings of RapidJSON, all of which `str::parse` knows.
    #[cold]
    fn scan_special(text: &'a [u8]) -> Option<Self> {
        let token = ["NaN", "-NaN", "Infinity", "-Infinity", "Inf", "-Inf"]
            .into_iter()
            .find(|word| text.starts_with(word.as_bytes()))
            .map(|word| &text[..word.len()])?;
        let (negative, digits) = (false, usize::MAX);
        Some(Self { token, negative, mantissa: 0, digits, exponent: 0, integral: false })
    }

    #[inline]
    pub(crate) fn to_integer(&self) -> Option<i128> {
        if !self.integral {
            return None;
        }
        if self.digits > MAX_DIGITS {
            return self.token().parse().ok();
        }
        let value = i128::from(self.mantissa);
        Some(if self.negative { -value } else { value })
    }

    #[inline]
    pub(crate) fn to_f32(&self) -> Option<f32> {
        match self.quick_f32() {
            Some(value) => Some(value),
            None => self.token().parse().ok(),
        }
    }

    #[inline]
    pub(crate) fn to_f64(&self) -> Option<f64> {
        match self.quick_f64() {
            Some(value) => Some(value),
            None => self.token().parse().ok(),
        }
    }

    /// The value by way of `f64`, where that is certain to round to the same `f32`.
    ///
    /// With a power of ten that `f64` holds exactly, the `f64` is off by at most one unit in its last
    /// place (one rounding of the digits, one of the scaling). Only a value that near to the middle
    /// between two neighbouring `f32` could then round the wrong way, and those are declined. The 17 digits
    /// that Python writes for a float that came from an `f32` are never there.
    #[inline]
    fn quick_f32(&self) -> Option<f32> {
        let value = self.scaled()?;
        let below_f32 = value.to_bits() & ((1 << 29) - 1);
        let middle = 1 << 28;
        (below_f32.abs_diff(middle) > 2).then_some(value as f32)
    }

    /// Exact, when digits and power of ten are: one correctly rounded operation (Clinger's case).
    #[inline]
    fn quick_f64(&self) -> Option<f64> {
        if self.mantissa >> f64::MANTISSA_DIGITS == 0 { self.scaled() } else { None }
    }

    #[inline]
    fn scaled(&self) -> Option<f64> {
        if self.digits > MAX_DIGITS {
            return None;
        }
        let digits = self.mantissa as f64;
        let power = POWERS_OF_TEN.get(self.exponent.unsigned_abs() as usize)?;
        let value = if self.exponent < 0 { digits / power } else { digits * power };
        Some(if self.negative { -value } else { value })
    }
}

/// Appends the digits from `at` on to `mantissa` and says where they end. Wraps when there are too many.
#[inline(always)]
fn sum_digits(text: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|d| *d < 10) {
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    at
}

/// The same for as many blocks of eight digits as there are. Worth it behind the point, where clients write
/// up to 17 digits; in front of it there are few.
#[inline(always)]
fn sum_eights(text: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk).and_then(eight_digits) {
        *mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(eight);
        at += 8;
    }
    at
}

/// Eight ASCII digits as a number, without a loop: pairs of digits, then of pairs, then of fours.
#[inline]
fn eight_digits(text: &[u8; 8]) -> Option<u64> {
    let text = u64::from_le_bytes(*text);
    let high_nibbles = 0xf0f0_f0f0_f0f0_f0f0;
    // Adding 6 carries `:` to `?` out of the digits' nibble.
    let carried = text.wrapping_add(0x0606_0606_0606_0606) & high_nibbles;
    if (text & high_nibbles) | (carried >> 4) != 0x3333_3333_3333_3333 {
        return None;
    }
    let digits = text & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// The exponent's end and value.
fn scan_power(text: &[u8], at: usize) -> Option<(usize, i32)> {
    let negative = text.get(at) == Some(&b'-');
    let start = at + usize::from(matches!(text.get(at), Some(b'+' | b'-')));
    let mut end = start;
    let mut power = 0_i32;
    while let Some(digit) = text.get(end).filter(|byte| byte.is_ascii_digit()) {
        power = power.saturating_mul(10).saturating_add(i32::from(digit - b'0'));
        end += 1;
    }
    (end > start).then_some((end, if negative { -power } else { power }))
}

/// Exact in `f64`.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(token: &str) -> Number<'_> {
        let number = Number::scan(token.as_bytes()).unwrap();
        assert_eq!(number.token(), token);
        number
    }

    fn f32_of(token: &str) -> f32 {
        number(token).to_f32().unwrap()
    }

    fn f64_of(token: &str) -> f64 {
        number(token).to_f64().unwrap()
    }

    #[test]
    fn integers_are_written_without_point_and_exponent() {
        for bad in ["1.5", "1.0", "1e2", "NaN", "Infinity", &"9".repeat(1000)] {
            assert_eq!(number(bad).to_integer(), None, "{bad}");
        }
        assert_eq!(number("-0").to_integer(), Some(0));
        assert_eq!(number("-18446744073709551616").to_integer(), Some(-(1 << 64)));
    }

    #[test]
    fn floats_overflow_to_infinity_and_underflow_to_zero() {
        assert_eq!(f32_of("1e999"), f32::INFINITY);
        assert_eq!(f32_of("-1e39"), f32::NEG_INFINITY);
        assert_eq!(f32_of("1e99999999999999999999"), f32::INFINITY);
        assert_eq!(f32_of("1e-999").to_bits(), 0);
        assert_eq!(f32_of("0e99999999999999999999").to_bits(), 0);
        assert_eq!(f32_of("-0").to_bits(), (-0.0_f32).to_bits());
        assert_eq!(f32_of("-0.0").to_bits(), (-0.0_f32).to_bits());
        assert!(f32_of("NaN").is_nan());
        assert_eq!(f32_of("-Infinity"), f32::NEG_INFINITY);
        assert_eq!(f64_of("1e999"), f64::INFINITY);
    }

    #[test]
    fn the_quick_path_declines_ties() {
        // 2^24 + 1 lies in the middle between two f32.
        assert_eq!(Number::scan(b"16777217").unwrap().quick_f32(), None);
        assert_eq!(f32_of("16777217"), 16_777_216.0);
        assert_eq!(f32_of("16777219"), 16_777_220.0);
        assert_eq!(f32_of("340282356779733661637539395458142568447"), f32::MAX);
        assert_eq!(f32_of("340282356779733661637539395458142568448"), f32::INFINITY);
    }

    #[test]
    fn eight_digits_are_told_from_their_neighbours_in_ascii() {
        assert_eq!(eight_digits(b"12345678"), Some(12_345_678));
        assert_eq!(eight_digits(b"00000000"), Some(0));
        assert_eq!(eight_digits(b"99999999"), Some(99_999_999));
        for byte in (0..=255).filter(|byte: &u8| !byte.is_ascii_digit()) {
            for place in 0..8 {
                let mut text = *b"99999999";
                text[place] = byte;
                assert_eq!(eight_digits(&text), None, "{text:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn floats_round_as_the_standard_library_does(
            token in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        ) {
            prop_assert_eq!(f32_of(&token).to_bits(), token.parse::<f32>().unwrap().to_bits());
            prop_assert_eq!(f64_of(&token).to_bits(), token.parse::<f64>().unwrap().to_bits());
        }

        #[test]
        fn integers_are_read_as_the_standard_library_reads_them(token in "-?(0|[1-9][0-9]{0,20})") {
            prop_assert_eq!(number(&token).to_integer(), token.parse().ok());
        }

        #[test]
        fn the_neighbourhood_of_ties_rounds_as_the_standard_library_does(
            // 1e-9 to 1e9
            bits in 0x3089_705f_u32..0x4e6e_6b28,
            digits in 10_usize..18,
        ) {
            let (low, high) = (f32::from_bits(bits), f32::from_bits(bits + 1));
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
