//! Versions: immutable editions of a model, numbered from 1, and how a request asks for one.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::{Error, Label};

/// A positive integer, at most `i64::MAX` (TensorFlow Serving's wire type for it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(NonZeroU64);

impl Version {
    pub const fn new(number: u64) -> Option<Self> {
        if number > i64::MAX as u64 {
            return None;
        }
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = Error;

    /// Decimal digits only: `+1`, ` 1` and `1.0` are not versions.
    fn from_str(text: &str) -> Result<Self, Error> {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
            .and_then(Self::new)
            .ok_or_else(|| {
                let shown: String = text.chars().take(32).collect();
                Error::invalid(format!("version '{shown}' is not a positive integer"))
            })
    }
}

/// Which version of a model a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionSelector {
    /// Whichever the traffic split gives.
    #[default]
    Weighted,
    Version(Version),
    Label(Label),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_positive_integers_are_versions() {
        assert_eq!("12".parse::<Version>().unwrap().get(), 12);
        for bad in ["", "0", "-1", "+1", " 1", "1.0", "v1", "9223372036854775808"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }
}
