//! The plain parts that values are made of. Stricter than `str::parse`: no signs, no exponents, no infinities, no
//! other bases, so that each number has one way to be written.

use toml::de::DeValue;

/// A whole number.
pub fn digits(text: &str) -> Option<usize> {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A number from 0, with or without a fraction.
pub fn decimal(text: &str) -> Option<f64> {
    // `parse` alone would take `inf`, `1e3` and a sign.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

/// The digits of a TOML integer; its other bases are not for counts.
pub fn integer<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    value.as_integer().filter(|integer| integer.radix() == 10).map(|integer| integer.as_str())
}

/// The digits of a TOML number, whole or not.
pub fn number<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    value.as_float().map(|float| float.as_str()).or_else(|| integer(value))
}
