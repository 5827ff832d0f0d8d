//! How the scenario file's own kinds of value are written: `"4s..8s"`, `"0.1%"`, `"refused"`.

use std::ops::Range;
use std::time::Duration;

use tidegate_configuration::Value;
use tidegate_configuration::plain::{decimal, digits, integer};
use toml::de::DeValue;

use super::plan::{Amount, WireKind};
use crate::question::Ending;

/// What reports, files and other sections call something.
pub struct Name(pub String);

/// A part of the scenario's time.
pub struct During(pub Range<Duration>);

/// A share of a whole, as a percentage.
pub struct Percentage(pub f64);

/// The end of a target's URL.
pub struct TargetPath(pub String);

/// A number of a list.
pub struct VersionNumber(pub u64);

impl Value for Name {
    const EXPECTED: &'static str = "a name of letters, digits, '-', '_' and '.'";

    fn from_text(text: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let named = !text.is_empty() && text.len() <= 100 && !text.starts_with('.');
        (named && text.chars().all(fits)).then(|| Self(text.to_owned()))
    }
}

impl Value for During {
    const EXPECTED: &'static str =
        "a part of the scenario's time, from..to with units, such as \"4s..8s\"";

    fn from_text(text: &str) -> Option<Self> {
        let (from, to) = text.split_once("..")?;
        let (from, to) = (Duration::from_text(from)?, Duration::from_text(to)?);
        (from < to).then_some(Self(from..to))
    }
}

impl Value for Percentage {
    const EXPECTED: &'static str = "a percentage from 0% to 100%, such as \"95%\"";

    fn from_text(text: &str) -> Option<Self> {
        let share = decimal(text.strip_suffix('%')?)? / 100.0;
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }
}

impl Value for Amount {
    const EXPECTED: &'static str = "a whole number from 0, or a percentage such as \"0.1%\"";

    fn from_text(text: &str) -> Option<Self> {
        Percentage::from_text(text).map(|Percentage(share)| Self::Share(share))
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match integer(value) {
            Some(text) => Some(Self::Count(u64::try_from(digits(text)?).ok()?)),
            None => value.as_str().and_then(Self::from_text),
        }
    }
}

impl Value for TargetPath {
    const EXPECTED: &'static str =
        "the end of a target's URL, such as \"/v2/models/digits\" or \"/v1/models/digits\"";

    fn from_text(text: &str) -> Option<Self> {
        let models = ["/v1/models/", "/v2/models/"];
        let named = models.iter().any(|start| text.len() > start.len() && text.starts_with(start));
        named.then(|| Self(text.to_owned()))
    }
}

impl Value for VersionNumber {
    const EXPECTED: &'static str = "a version, a whole number from 1";

    fn from_text(text: &str) -> Option<Self> {
        u64::try_from(digits(text)?).ok().filter(|version| *version > 0).map(Self)
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(integer(value)?)
    }
}

impl Value for WireKind {
    const EXPECTED: &'static str = "\"json\", \"binary\" or \"grpc\"";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "binary" => Some(Self::Binary),
            "grpc" => Some(Self::Grpc),
            _ => None,
        }
    }
}

impl Value for Ending {
    const EXPECTED: &'static str = "one of right, wrong, unreadable, refused, invalid, failed, \
                                    unavailable, too_late, timed_out, broken, not_connected, \
                                    not_sent, abandoned";

    fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.name() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_or_a_percentage() {
        assert_eq!(Amount::from_text("0.1%"), Some(Amount::Share(0.001)));
        for bad in ["", "0.1", "101%", "-1%", "%", "1 %"] {
            assert_eq!(Amount::from_text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_part_of_the_time_has_two_ends_in_order() {
        let read = |text| During::from_text(text).map(|During(range)| range);
        let seconds = Duration::from_secs;
        assert_eq!(read("4s..8s"), Some(seconds(4)..seconds(8)));
        for bad in ["4s", "8s..4s", "4s..4s", "4..8", "..8s"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_list_of_endings_is_all_of_them() {
        let named = Ending::EXPECTED.trim_start_matches("one of ").split(", ");
        let all: Vec<_> = Ending::ALL.iter().map(|ending| ending.name()).collect();
        assert_eq!(named.collect::<Vec<_>>(), all);
    }
}
