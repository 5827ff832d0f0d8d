//! A moment as the manifest says it: RFC 3339 in UTC with nine digits of a second, `2026-05-01T08:30:00.000000000Z`.
//!
//! The form is fixed, so texts sort as moments do.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970, until the year 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

impl Timestamp {
    /// Now, or just after `latest` if the clock has gone back since then: of two stamps in a manifest the later one is
    /// always the greater one.
    pub fn now_after(latest: Option<Self>) -> Self {
        let now = nanos(SystemTime::now()).unwrap_or(u64::MAX);
        Self(latest.map_or(now, |latest| now.max(latest.0.saturating_add(1))))
    }

    /// `2026-05-01T08:30:00Z`, for people.
    pub fn to_seconds(self) -> String {
        let mut text = self.to_string();
        text.truncate("2026-05-01T08:30:00".len());
        text + "Z"
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(self.0)).fmt(f)
    }
}

/// The text that was no timestamp of ours.
#[derive(Debug, thiserror::Error)]
#[error("expected a time such as 2026-05-01T08:30:00.000000000Z, got {0:?}")]
pub struct NoTimestamp(String);

impl FromStr for Timestamp {
    type Err = NoTimestamp;

    /// What is read has to be written the same way again: that alone excludes the 30th of February.
    fn from_str(text: &str) -> Result<Self, NoTimestamp> {
        let moment = humantime::parse_rfc3339(text).ok();
        moment
            .and_then(nanos)
            .map(Self)
            .filter(|timestamp| timestamp.to_string() == text)
            .ok_or_else(|| NoTimestamp(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NoTimestamp;

    fn try_from(text: String) -> Result<Self, NoTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

/// A clock before 1970 is as good as one that stands there. `None` past the last moment that can be said.
fn nanos(moment: SystemTime) -> Option<u64> {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NANOS: u64 = 1_000_000_000;

    #[test]
    fn known_moments_are_said_right() {
        let said = |seconds: u64| Timestamp(seconds * NANOS).to_string();
        assert_eq!(said(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(said(951_782_400), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(said(4_102_444_799), "2099-12-31T23:59:59.000000000Z");
        assert_eq!(Timestamp(951_782_400_123_456_789).to_seconds(), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn what_is_no_moment_in_the_one_form_is_refused() {
        for bad in [
            "",
            "2026-05-01",
            "2026-05-01T08:30:00Z",
            "2026-05-01T08:30:00.000000000+00:00",
            "2026-05-01 08:30:00.000000000Z",
            "2026-02-30T08:30:00.000000000Z",
            "2026-13-01T08:30:00.000000000Z",
            "2026-05-01T25:30:00.000000000Z",
            "1969-12-31T23:59:59.000000000Z",
            "9999-12-31T23:59:59.000000000Z",
            "2026-05-01T08:30:00.000000000Z ",
            "２026-05-01T08:30:00.000000000Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_clock_that_went_back_still_gives_a_later_stamp() {
        let future = "2500-01-01T00:00:00.000000000Z".parse().unwrap();
        assert!(Timestamp::now_after(Some(future)) > future);
        let past = "2000-01-01T00:00:00.000000000Z".parse().unwrap();
        assert!(Timestamp::now_after(Some(past)) > past);
    }

    proptest! {
        #[test]
        fn texts_read_back_and_sort_as_moments(a in any::<u64>(), b in any::<u64>()) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            prop_assert_eq!(a.to_string().parse::<Timestamp>().unwrap(), a);
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
