//! The instant after which nobody waits for an answer. A timeout (a duration) becomes a deadline
//! (an instant) once, at ingress; nothing below adds durations again.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A timeout too long for the clock means a year, which nobody waits for either.
    pub fn after(now: Instant, timeout: Duration) -> Self {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        Self(now.checked_add(timeout).unwrap_or(now + YEAR))
    }

    pub fn instant(self) -> Instant {
        self.0
    }

    pub fn is_past(self, now: Instant) -> bool {
        now >= self.0
    }
}
