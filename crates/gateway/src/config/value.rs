//! How the gateway's own kinds of value are written. The plain kinds - durations, sizes, counts - are the
//! reader's.

use std::time::Duration;

use tidegate_configuration::Value;
use tidegate_configuration::plain::{digits, integer, number};
use tidegate_control::Target;
use tidegate_inference::{Label, ModelName, Version};
use tidegate_ingress::ListenAddress;
use tidegate_telemetry::{AccessSampling, LogFilter};
use toml::de::DeValue;

/// Each is asked in turn for new connections.
const MOST_LISTENERS: usize = 16;

/// A word of another room as it stands in the file. The rooms themselves know nothing of files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written<T>(pub T);

/// A relative share of a model's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub u32);

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

/// A duration in which something can happen: zero would mean never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Value for Span {
    const EXPECTED: &'static str = "a duration above 0 and of at most a year with its unit (us, ms, s, m or h), such as \"50ms\"";

    fn from_text(text: &str) -> Option<Self> {
        Duration::from_text(text).filter(|span| !span.is_zero()).map(Self)
    }
}

impl Value for Written<Version> {
    const EXPECTED: &'static str = "a version, a whole number from 1";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(integer(value)?)
    }
}

impl Value for Written<Vec<ListenAddress>> {
    const EXPECTED: &'static str = "an IP address and port, such as \"127.0.0.1:8501\", a socket, such as \
                                    \"unix:/run/tidegate.sock\", or a list of up to 16 of them";

    fn from_text(text: &str) -> Option<Self> {
        listeners(text.split(',').map(|text| Some(text.trim())))
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value.as_array() {
            Some(array) => listeners(array.iter().map(|entry| entry.get_ref().as_str())),
            None => value.as_str().and_then(Self::from_text),
        }
    }
}

/// `None` when one of them is no address, or there are none or too many.
fn listeners<'t>(
    texts: impl Iterator<Item = Option<&'t str>>,
) -> Option<Written<Vec<ListenAddress>>> {
    let addresses = texts.map(|text| text?.parse().ok()).collect::<Option<Vec<_>>>()?;
    (1..=MOST_LISTENERS).contains(&addresses.len()).then_some(Written(addresses))
}

impl Value for Written<AccessSampling> {
    const EXPECTED: &'static str = "a share from 0.0 to 1.0";

    fn from_text(text: &str) -> Option<Self> {
        AccessSampling::new(f64::from_text(text)?).map(Self)
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(number(value)?)
    }
}

impl Value for Written<LogFilter> {
    const EXPECTED: &'static str =
        "a level (error, warn, info, debug, trace) or directives such as \"info,tidegate=debug\"";

    fn from_text(text: &str) -> Option<Self> {
        LogFilter::new(text).ok().map(Self)
    }
}

impl Value for Written<ModelName> {
    const EXPECTED: &'static str = "a model name: 1 to 255 bytes, no '/', '\\', ':' or control \
                                    characters, not starting with a dot";

    fn from_text(text: &str) -> Option<Self> {
        ModelName::new(text).ok().map(Self)
    }
}

impl Value for Written<Label> {
    const EXPECTED: &'static str = "a label: a name that is not a number, without '/', '\\' or ':'";

    fn from_text(text: &str) -> Option<Self> {
        Label::new(text).ok().map(Self)
    }
}

impl Value for Written<Target> {
    const EXPECTED: &'static str = "a label or a version";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_longer_than_nothing() {
        assert_eq!(Span::from_text("50ms"), Some(Span(Duration::from_millis(50))));
        assert_eq!(
            ["0ms", "0s", "50", "-1s", "366h"].map(Span::from_text),
            [None, None, None, None, Some(Span(Duration::from_secs(366 * 3600)))]
        );
    }

    #[test]
    fn listeners_are_separated_by_commas_and_there_is_a_limit() {
        let read = |text: &str| Written::<Vec<ListenAddress>>::from_text(text).map(|read| read.0);
        let (tcp, unix) = ("[::1]:0".parse().unwrap(), "unix:/run/t.sock".parse().unwrap());
        assert_eq!(read("[::1]:0, unix:/run/t.sock"), Some(vec![tcp, unix]));
        let many = |count| read(&vec!["127.0.0.1:0"; count].join(","));
        assert!(many(MOST_LISTENERS).is_some() && many(MOST_LISTENERS + 1).is_none());
        for bad in ["", ",", "127.0.0.1:0,", "localhost:80", "127.0.0.1:0 127.0.0.1:0"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn weights_and_shares_are_plain_numbers_in_their_range() {
        assert_eq!(Share::from_text("10000"), Some(Share(10_000)));
        assert_eq!(Share::from_text("10001"), None);
        let sampling = |text| Written::<AccessSampling>::from_text(text).map(|read| read.0);
        assert_eq!(sampling("0.01"), AccessSampling::new(0.01));
        assert_eq!(sampling("1.01"), None);
    }
}
