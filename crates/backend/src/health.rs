//! Whether a version can be served at all, as far as its runs tell. Told the time, runs nothing.
//!
//! A worker counts its failures in a [`Streak`]: after a few in a row without any success it runs the
//! probe, a request that is known to be good. When that fails too, the version is unfit: requests are
//! answered at once, nothing is bisected, and from then on only the probe runs, at growing distances,
//! until it succeeds. One [`Health`] is shared by all workers of a version.

use std::time::{Duration, Instant};

/// Failures in a row after which the probe is asked.
const PATIENCE: u32 = 3;
const LONGEST_PATIENCE: u32 = 48;

/// Threads that may be stuck in the engine before the version counts as unfit.
pub(crate) const MAX_GIVEN_UP: usize = 3;

/// The probe's distances while a version is unfit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(30) }
    }
}

/// What the control plane hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fitness {
    Fit,
    /// It takes no requests, and why.
    Unfit(String),
}

#[derive(Debug)]
pub(crate) struct Health {
    backoff: Backoff,
    unfit: Option<Unfit>,
    given_up: usize,
    /// How often it became unfit.
    breakdowns: u64,
}

#[derive(Debug)]
struct Unfit {
    reason: String,
    next_probe: Instant,
    distance: Duration,
    /// Some worker is at it.
    being_probed: bool,
}

impl Health {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, unfit: None, given_up: 0, breakdowns: 0 }
    }

    /// Why the version is unfit.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.unfit.as_ref().map(|unfit| &*unfit.reason)
    }

    /// Odd while the version is unfit; another one after every change.
    pub(crate) fn epoch(&self) -> u64 {
        2 * self.breakdowns - u64::from(self.unfit.is_some())
    }

    /// The probe failed, or an instance could not be made again. Says what is new.
    pub(crate) fn broke_down(&mut self, reason: String, now: Instant) -> Option<Fitness> {
        if self.unfit.is_some() {
            return None;
        }
        let distance = self.backoff.first;
        let unfit = Unfit { reason, next_probe: now + distance, distance, being_probed: false };
        self.breakdowns += 1;
        Some(Fitness::Unfit(self.unfit.insert(unfit).reason.clone()))
    }

    /// The probe did not come back, and neither did its worker.
    pub(crate) fn probe_is_stuck(&mut self, now: Instant) -> Option<Fitness> {
        if let Some(unfit) = &mut self.unfit {
            unfit.being_probed = false;
            unfit.wait_longer(self.backoff.longest, now);
            return None;
        }
        let reason = "it hangs on a request that it answered when it was loaded";
        self.broke_down(reason.to_owned(), now)
    }

    /// A thread is stuck in the engine and was replaced.
    pub(crate) fn gave_up_a_thread(&mut self, now: Instant) -> Option<Fitness> {
        self.given_up += 1;
        let given_up = self.given_up;
        (given_up > MAX_GIVEN_UP)
            .then(|| format!("{given_up} threads are stuck in the engine"))
            .and_then(|reason| self.broke_down(reason, now))
    }

    /// A thread that was given up has come back after all.
    pub(crate) fn a_thread_returned(&mut self) {
        self.given_up = self.given_up.saturating_sub(1);
    }

    pub(crate) fn given_up(&self) -> usize {
        self.given_up
    }

    /// When a worker should come and ask for the probe.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        self.unfit.as_ref().filter(|unfit| !unfit.being_probed).map(|unfit| unfit.next_probe)
    }

    /// Whether the worker that asks is to run the probe now; it then says how it [went](Self::probed).
    pub(crate) fn take_probe(&mut self, now: Instant) -> bool {
        let too_many_stuck = self.given_up > MAX_GIVEN_UP;
        let Some(unfit) = self.unfit.as_mut().filter(|unfit| !unfit.being_probed) else {
            return false;
        };
        if now < unfit.next_probe {
            return false;
        }
        if too_many_stuck {
            // One more could be the next to be stuck.
            unfit.wait_longer(self.backoff.longest, now);
            return false;
        }
        unfit.being_probed = true;
        true
    }

    pub(crate) fn probed(&mut self, outcome: Result<(), String>, now: Instant) -> Option<Fitness> {
        let unfit = self.unfit.as_mut()?;
        match outcome {
            Ok(()) => {
                self.unfit = None;
                Some(Fitness::Fit)
            }
            Err(reason) => {
                unfit.being_probed = false;
                unfit.wait_longer(self.backoff.longest, now);
                // The newest reason is the one to act on.
                (unfit.reason != reason).then(|| {
                    unfit.reason.clone_from(&reason);
                    Fitness::Unfit(reason)
                })
            }
        }
    }
}

impl Unfit {
    fn wait_longer(&mut self, longest: Duration, now: Instant) {
        self.distance = (2 * self.distance).min(longest);
        self.next_probe = now + self.distance;
    }
}

/// One worker's failures since its last success.
#[derive(Debug)]
pub(crate) struct Streak {
    failures: u32,
    patience: u32,
}

impl Default for Streak {
    fn default() -> Self {
        Self { failures: 0, patience: PATIENCE }
    }
}

impl Streak {
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Whether the probe should be asked now.
    pub(crate) fn failed(&mut self) -> bool {
        self.failures += 1;
        self.failures >= self.patience
    }

    /// The probe ran well: the requests were at fault. It is asked less often then, so that a stream of
    /// nothing but bad requests costs few probes.
    pub(crate) fn cleared(&mut self) {
        self.failures = 0;
        self.patience = (2 * self.patience).min(LONGEST_PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(10) };

    fn broken(now: Instant) -> Health {
        let mut health = Health::new(BACKOFF);
        let news = health.broke_down("the probe failed".into(), now);
        assert_eq!(news, Some(Fitness::Unfit("the probe failed".into())));
        health
    }

    #[test]
    fn the_probe_is_asked_after_three_failures_in_a_row() {
        let mut streak = Streak::default();
        assert!(!streak.failed() && !streak.failed());
        streak.succeeded();
        assert!(!streak.failed() && !streak.failed() && streak.failed());
    }

    #[test]
    fn a_probe_that_succeeds_makes_the_next_one_rarer_until_a_request_succeeds() {
        let mut streak = Streak::default();
        let failures_until_asked = |streak: &mut Streak| {
            let failures = (1..).find(|_| streak.failed()).unwrap();
            streak.cleared();
            failures
        };
        let asked: Vec<i32> = (0..6).map(|_| failures_until_asked(&mut streak)).collect();
        assert_eq!(asked, [3, 6, 12, 24, 48, 48]);
        streak.succeeded();
        assert_eq!(failures_until_asked(&mut streak), 3);
    }

    #[test]
    fn an_unfit_version_is_probed_at_doubling_distances_up_to_the_longest() {
        let start = Instant::now();
        let mut health = broken(start);
        let mut now = start;
        let mut distances = Vec::new();
        for _ in 0..6 {
            let next = health.next_probe().unwrap();
            assert!(!health.take_probe(next - Duration::from_nanos(1)));
            distances.push((next - now).as_secs());
            now = next;
            assert!(health.take_probe(now));
            assert_eq!(health.probed(Err("the probe failed".into()), now), None);
        }
        assert_eq!(distances, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn a_probe_that_succeeds_makes_the_version_fit_and_forgets_the_backoff() {
        let start = Instant::now();
        let mut health = broken(start);
        let later = start + Duration::from_secs(60);
        assert!(health.take_probe(later));
        assert_eq!(health.probed(Ok(()), later), Some(Fitness::Fit));
        assert_eq!((health.reason(), health.next_probe(), health.epoch()), (None, None, 2));
        assert!(health.broke_down("again".into(), later).is_some());
        assert_eq!(health.next_probe(), Some(later + BACKOFF.first));
        assert_eq!(health.epoch(), 3);
    }

    #[test]
    fn only_one_worker_probes_at_a_time() {
        let start = Instant::now();
        let mut health = broken(start);
        let later = start + Duration::from_secs(5);
        assert!(health.take_probe(later) && !health.take_probe(later));
        assert_eq!(health.next_probe(), None);
    }

    #[test]
    fn a_probe_that_is_stuck_is_no_success_and_does_not_end_the_probing() {
        let start = Instant::now();
        let mut health = Health::new(BACKOFF);
        assert!(matches!(health.probe_is_stuck(start), Some(Fitness::Unfit(_))));
        let later = start + BACKOFF.first;
        assert!(health.take_probe(later));
        assert_eq!(health.probe_is_stuck(later), None);
        assert_eq!(health.next_probe(), Some(later + 2 * BACKOFF.first));
    }

    #[test]
    fn a_version_breaks_down_once_and_a_new_reason_is_news() {
        let start = Instant::now();
        let mut health = broken(start);
        assert_eq!(health.broke_down("another worker says so too".into(), start), None);
        let later = start + Duration::from_secs(5);
        assert!(health.take_probe(later));
        let news = health.probed(Err("the file is gone".into()), later);
        assert_eq!(news, Some(Fitness::Unfit("the file is gone".into())));
    }

    #[test]
    fn the_fourth_stuck_thread_makes_the_version_unfit_until_one_returns() {
        let start = Instant::now();
        let mut health = Health::new(BACKOFF);
        assert!((0..3).all(|_| health.gave_up_a_thread(start).is_none()));
        let news = health.gave_up_a_thread(start);
        assert_eq!(news, Some(Fitness::Unfit("4 threads are stuck in the engine".into())));
        let mut now = start + Duration::from_secs(100);
        assert!(!health.take_probe(now), "a fifth is not risked");
        health.a_thread_returned();
        now += Duration::from_secs(100);
        assert!(health.take_probe(now));
    }
}
