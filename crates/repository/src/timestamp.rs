//! A moment as the manifest says it: RFC 3339 in UTC with nine digits of a second, `2026-05-01T08:30:00.000000000Z`.
//!
//! The form is fixed, so texts sort as moments do. No calendar library is needed for one form.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

const NANOS: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// Nanoseconds since 1970, until the year 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

impl Timestamp {
    /// Now, or just after `latest` if the clock has gone back since then: of two stamps in a manifest the later one is
    /// always the greater one.
    pub fn now_after(latest: Option<Self>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
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
        let (seconds, nanos) = (self.0 / NANOS, self.0 % NANOS);
        let (year, month, day) = date(seconds / DAY);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
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
        parse(text)
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

fn parse(text: &str) -> Option<Timestamp> {
    let number = |range: Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(NANOS)?.checked_add(number(20..29)?).map(Timestamp)
}

/// Days since 1970 in the Gregorian calendar, counted in years that begin in March, so that the leap day comes last:
/// Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The inverse of [`date`], from 1970 on: `days_from_civil` there.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let year_of_era = year % 400;
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year / 400 * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
