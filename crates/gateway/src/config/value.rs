//! How each kind of value is written: `50ms`, `64MiB`, `127.0.0.1:8501`. There are no sentinels: no zero
//! that means "off", no -1 that means "no limit".

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_control::Target;
use tidegate_inference::{Label, ModelName, Version};
use tidegate_telemetry::{AccessSampling, LogFilter};
use toml::de::DeValue;

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

/// A relative share of a model's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub u32);

/// A positive whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub NonZeroUsize);

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

impl Value for Share {
    const EXPECTED: &'static str = "a weight, a whole number from 0 to 10000";

    fn from_text(text: &str) -> Option<Self> {
        let share = u32::try_from(digits(text)?).ok()?;
        (share <= 10_000).then_some(Self(share))
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(integer(value)?)
    }
}

impl Value for Version {
    const EXPECTED: &'static str = "a version, a whole number from 1";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(integer(value)?)
    }
}

impl Value for AccessSampling {
    const EXPECTED: &'static str = "a share from 0.0 to 1.0";

    fn from_text(text: &str) -> Option<Self> {
        Self::new(decimal(text)?)
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let text = value.as_float().map(|float| float.as_str()).or_else(|| integer(value))?;
        Self::from_text(text)
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

impl Value for LogFilter {
    const EXPECTED: &'static str =
        "a level (error, warn, info, debug, trace) or directives such as \"info,tidegate=debug\"";

    fn from_text(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }
}

impl Value for ModelName {
    const EXPECTED: &'static str = "a model name: 1 to 255 bytes, no '/', '\\', ':' or control \
                                    characters, not starting with a dot";

    fn from_text(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }
}

impl Value for Label {
    const EXPECTED: &'static str = "a label: a name that is not a number, without '/', '\\' or ':'";

    fn from_text(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }
}

impl Value for Target {
    const EXPECTED: &'static str = "a label or a version";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()))
}

fn digits(text: &str) -> Option<usize> {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn decimal(text: &str) -> Option<f64> {
    // `parse` alone would take `inf`, `1e3` and a sign.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

/// The digits of a TOML integer; its other bases are not for counts.
fn integer<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    value.as_integer().filter(|integer| integer.radix() == 10).map(|integer| integer.as_str())
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
        assert_eq!(Share::from_text("10000"), Some(Share(10_000)));
        for bad in ["", "0", "-1", "+1", "1.0", "eight", "99999999999999999999"] {
            assert_eq!(Count::from_text(bad), None, "{bad:?}");
        }
        assert_eq!(Share::from_text("10001"), None);
        assert_eq!(AccessSampling::from_text("0.01"), AccessSampling::new(0.01));
        assert_eq!(AccessSampling::from_text("1.01"), None);
    }
}
