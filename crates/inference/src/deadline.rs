//! The instant after which nobody waits for an answer. A timeout (a duration) becomes a deadline
//! (an instant) once, at ingress; nothing below adds durations again.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A longer timeout means this one: nobody waits a year, and clocks cannot count for ever.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

    pub fn after(start: Instant, timeout: Duration) -> Self {
        Self(start + timeout.min(Self::LONGEST_TIMEOUT))
    }

    pub fn instant(self) -> Instant {
        self.0
    }

    pub fn is_past(self, now: Instant) -> bool {
        now >= self.0
    }

    /// How long is left; zero when it is past.
    pub fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_longer_than_a_year() {
        let now = Instant::now();
        let year = Deadline::after(now, Deadline::LONGEST_TIMEOUT);
        assert_eq!(Deadline::after(now, Duration::MAX), year);
        assert_eq!(year.left(now), Deadline::LONGEST_TIMEOUT);
    }

    #[test]
    fn a_deadline_is_past_from_its_very_instant_on() {
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::from_millis(50));
        let at = |ms| now + Duration::from_millis(ms);
        assert_eq!([49, 50, 51].map(|ms| deadline.is_past(at(ms))), [false, true, true]);
        assert_eq!(deadline.left(at(30)), Duration::from_millis(20));
        assert_eq!(deadline.left(at(60)), Duration::ZERO);
    }
}
