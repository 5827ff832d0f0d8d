//! What one connection is doing, and the rule that says when it has done nothing for too long.
//!
//! hyper has a header timeout of its own. It is not used: it sets and clears a timer with every request,
//! treats a caller that pauses between two requests like one that dribbles its head, and does not run
//! until hyper knows the HTTP version. Here two counters are written per request, and a slow tick reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counters of one connection. Relaxed throughout: they guard no other memory, and a tick that reads a
/// moment too early decides the same thing one tick later.
#[derive(Debug, Default)]
pub struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    bytes_read: AtomicU64,
    /// `bytes_read` when the last request ended.
    read_at_end: AtomicU64,
    multiplexed: AtomicBool,
    unread_body: AtomicBool,
}

/// A request that is being worked on, until the last byte of its answer was taken by the socket.
#[derive(Debug)]
pub struct InFlight(Arc<Activity>);

impl Activity {
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> InFlight {
        self.begun.fetch_add(1, Ordering::Relaxed);
        if multiplexed {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        InFlight(Arc::clone(self))
    }

    pub fn read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// No request was read yet.
    pub fn is_fresh(&self) -> bool {
        self.begun.load(Ordering::Relaxed) == 0
    }

    /// A request was answered although its body has not been read: the socket must be closed with care.
    pub fn leave_body_unread(&self) {
        self.unread_body.store(true, Ordering::Relaxed);
    }

    pub fn has_unread_body(&self) -> bool {
        self.unread_body.load(Ordering::Relaxed)
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Some request has not been answered to the last byte.
    pub fn is_busy(&self) -> bool {
        // `ended` first: a request that begins in between makes it look busier, never idler.
        let ended = self.ended.load(Ordering::Relaxed);
        self.begun() != ended
    }

    /// The head of a next request has begun to arrive. Between HTTP/2 requests bytes mean nothing:
    /// they may be pings.
    fn head_has_begun(&self) -> bool {
        !self.multiplexed.load(Ordering::Relaxed)
            && self.bytes_read.load(Ordering::Relaxed) > self.read_at_end.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let read = self.0.bytes_read.load(Ordering::Relaxed);
        self.0.read_at_end.store(read, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is to become of a quiet connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// Idle between requests for too long: close it politely.
    CloseIdle,
    /// A head has taken too long to arrive, or never came.
    CloseSlow,
}

/// Looks at a connection every [`QuietRule::tick`]; so a limit is overrun by one tick at most.
#[derive(Debug)]
pub struct QuietRule {
    header_timeout: Duration,
    idle_timeout: Duration,
    begun: u64,
    quiet_since: Instant,
}

impl QuietRule {
    pub fn new(header_timeout: Duration, idle_timeout: Duration, now: Instant) -> Self {
        Self { header_timeout, idle_timeout, begun: 0, quiet_since: now }
    }

    pub fn tick(&self) -> Duration {
        (self.header_timeout.min(self.idle_timeout) / 2).max(Duration::from_millis(1))
    }

    pub fn judge(&mut self, activity: &Activity, now: Instant) -> Verdict {
        if activity.is_busy() || activity.begun() != self.begun {
            self.begun = activity.begun();
            self.quiet_since = now;
            return Verdict::Keep;
        }
        let quiet = now.saturating_duration_since(self.quiet_since);
        if activity.is_fresh() || activity.head_has_begun() {
            return if quiet >= self.header_timeout { Verdict::CloseSlow } else { Verdict::Keep };
        }
        if quiet >= self.idle_timeout { Verdict::CloseIdle } else { Verdict::Keep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn rule(start: Instant) -> (Arc<Activity>, QuietRule) {
        let rule = QuietRule::new(Duration::from_secs(10), Duration::from_secs(60), start);
        (Arc::default(), rule)
    }

    #[test]
    fn a_connection_that_never_sends_a_request_is_slow() {
        let start = Instant::now();
        let (activity, mut rule) = rule(start);
        assert_eq!(rule.judge(&activity, at(start, 9)), Verdict::Keep);
        activity.read(1);
        assert_eq!(rule.judge(&activity, at(start, 10)), Verdict::CloseSlow);
    }

    #[test]
    fn a_busy_connection_is_kept_however_long_it_takes() {
        let start = Instant::now();
        let (activity, mut rule) = rule(start);
        let in_flight = activity.begin(false);
        assert_eq!(rule.judge(&activity, at(start, 1_000)), Verdict::Keep);
        drop(in_flight);
        assert_eq!(rule.judge(&activity, at(start, 1_059)), Verdict::Keep);
        assert_eq!(rule.judge(&activity, at(start, 1_060)), Verdict::CloseIdle);
    }

    #[test]
    fn a_dribbled_second_head_is_slow_and_a_pause_is_not() {
        let start = Instant::now();
        let (activity, mut rule) = rule(start);
        activity.read(100);
        drop(activity.begin(false));
        assert_eq!(rule.judge(&activity, at(start, 5)), Verdict::Keep);
        assert_eq!(rule.judge(&activity, at(start, 20)), Verdict::Keep, "a pause");
        activity.read(1);
        assert_eq!(rule.judge(&activity, at(start, 25)), Verdict::CloseSlow);
    }

    #[test]
    fn pings_do_not_make_an_http2_connection_slow() {
        let start = Instant::now();
        let (activity, mut rule) = rule(start);
        drop(activity.begin(true));
        assert_eq!(rule.judge(&activity, at(start, 5)), Verdict::Keep);
        activity.read(17);
        assert_eq!(rule.judge(&activity, at(start, 30)), Verdict::Keep);
        assert_eq!(rule.judge(&activity, at(start, 65)), Verdict::CloseIdle);
    }
}
