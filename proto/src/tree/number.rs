//! Numbers of text format: decimal, octal (`017`) and hexadecimal (`0x1F`) integers, and floats, with the
//! suffix `f` if somebody likes.
//!
//! No number has a sign here; that is a token of its own, and the largest magnitude is 64 bits wide.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(u64),
    Float(f64),
}

/// None when it is none. A decimal integer too large for 64 bits is a float, as in protobuf.
pub(super) fn read(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return integer(digits, 16);
    }
    if text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return integer(&text[1..], 8);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return integer(text, 10).or_else(|| float(text));
    }
    float(text.strip_suffix(['f', 'F']).unwrap_or(text))
}

fn integer(digits: &str, radix: u32) -> Option<Number> {
    // The standard library's reader would take a sign.
    let are_digits = digits.chars().all(|digit| digit.is_digit(radix));
    are_digits.then(|| u64::from_str_radix(digits, radix).ok()).flatten().map(Number::Integer)
}

/// Digits with a point or an exponent: the standard library's reader would also take names.
fn float(text: &str) -> Option<Number> {
    let is_part =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let is_octal =
        text.starts_with('0') && text[1..].starts_with(|next: char| next.is_ascii_digit());
    if !text.bytes().all(is_part) || is_octal {
        return None;
    }
    text.parse().ok().map(Number::Float)
}
