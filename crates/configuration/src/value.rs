//! How each kind of value is written: `50ms`, `64MiB`, `127.0.0.1:8501`. There are no sentinels: no zero
//! that means "off", no -1 that means "no limit".

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::plain::{decimal, digits, integer, number};

/// A value that flags and environment give as text and the file as TOML.
pub trait Value: Sized {
    /// Completes "expected ...".
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().and_then(Self::from_text)
    }
}

/// Bytes, written with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

/// A positive whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub NonZeroUsize);

/// For command lines.
///
/// # Errors
/// What was expected, and what came.
pub fn parse<V: Value>(text: &str) -> Result<V, String> {
    V::from_text(text).ok_or_else(|| format!("expected {}, got {text:?}", V::EXPECTED))
}

/// `50ms`, `1.5s`; see [`parse`].
///
/// # Errors
/// What was expected, and what came.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text)
}

/// Bytes: `64MiB`; see [`parse`].
///
/// # Errors
/// What was expected, and what came.
pub fn parse_size(text: &str) -> Result<usize, String> {
    parse(text).map(|Size(bytes)| bytes)
}

impl Value for Duration {
    const EXPECTED: &'static str =
        "a duration of at most a year with its unit (us, ms, s, m or h), such as \"50ms\"";

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text);
        let seconds = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let duration = Self::try_from_secs_f64(decimal(number)? * seconds).ok()?;
        // Beyond a year it is a slip of the pen, and sums of instants must not overflow.
        (duration <= Self::from_secs(365 * 24 * 3600)).then_some(duration)
    }
}

impl Value for Size {
    const EXPECTED: &'static str = "a size with its unit (B, KiB, MiB or GiB), such as \"64MiB\"";

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text);
        let bytes: usize = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        digits(number)?.checked_mul(bytes).filter(|size| *size > 0).map(Self)
    }
}

impl Value for Count {
    const EXPECTED: &'static str = "a whole number from 1";

    fn from_text(text: &str) -> Option<Self> {
        NonZeroUsize::new(digits(text)?).map(Self)
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(integer(value)?)
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl Value for SocketAddr {
    const EXPECTED: &'static str = "an IP address and port, such as \"127.0.0.1:8501\"";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }
}

impl Value for f64 {
    const EXPECTED: &'static str = "a number from 0";

    fn from_text(text: &str) -> Option<Self> {
        decimal(text)
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(number(value)?)
    }
}

impl Value for String {
    const EXPECTED: &'static str = "a text that is not empty";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()))
}

/// `expected ..., got ...` of a value in the file.
pub(crate) fn unexpected<V: Value>(value: &DeValue<'_>) -> String {
    format!("expected {}, got {}", V::EXPECTED, shown(value))
}

/// The same of a key that is a name.
pub(crate) fn unexpected_name<N: Value>(name: &str) -> String {
    format!("expected {}, got {name:?}", N::EXPECTED)
}

pub(crate) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        let parse = Duration::from_text;
        assert_eq!(parse("50ms"), Some(Duration::from_millis(50)));
        assert_eq!(parse("0ms"), Some(Duration::ZERO));
        assert_eq!(parse("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("250us"), Some(Duration::from_micros(250)));
        assert_eq!(parse("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse("1h"), Some(Duration::from_secs(3600)));
        for bad in ["", "50", "ms", "-1s", "1e3s", "infs", "50 ms", "50msec", "1d", "1.2.3s"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(parse("8760h"), Some(Duration::from_secs(365 * 24 * 3600)));
        assert_eq!(parse("8761h"), None);
        assert_eq!(parse(&format!("{}h", "9".repeat(40))), None);
    }

    #[test]
    fn sizes_need_a_unit_and_are_positive() {
        let parse = |text| Size::from_text(text).map(|size| size.0);
        assert_eq!(parse("64MiB"), Some(64 << 20));
        assert_eq!(parse("16KiB"), Some(16 << 10));
        assert_eq!(parse("1GiB"), Some(1 << 30));
        assert_eq!(parse("100B"), Some(100));
        for bad in ["", "64", "MiB", "64MB", "0MiB", "-1B", "1.5MiB", "99999999999GiB"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_plain_digits_in_their_range() {
        assert_eq!(Count::from_text("8"), NonZeroUsize::new(8).map(Count));
        for bad in ["", "0", "-1", "+1", "1.0", "eight", "99999999999999999999"] {
            assert_eq!(Count::from_text(bad), None, "{bad:?}");
        }
        assert_eq!(f64::from_text("0.01"), Some(0.01));
        for bad in ["", "-1", "+1", "1e3", "inf", "NaN", "1.2.3"] {
            assert_eq!(f64::from_text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_command_line_is_told_what_was_expected() {
        assert_eq!(parse_size("2KiB"), Ok(2048));
        let said = parse_duration("5").unwrap_err();
        assert!(said.starts_with("expected a duration of at most a year"), "{said}");
        assert!(said.ends_with("got \"5\""), "{said}");
    }
}
