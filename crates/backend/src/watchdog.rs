//! Ends runs that take too long.
//!
//! A run is entered in its worker's [`Watch`] with the instant at which it is too long. Past it the engine
//! is asked to end the run; when it does not within a grace, the run is given up: what lay with the watch
//! (the promises to the callers) goes to whoever keeps watch, and the worker, should it ever come back,
//! hears that it was given up.
//!
//! One thread for the whole process looks, and only when there is something to see: it sleeps until the
//! earliest end that it knows of, and for good when nothing runs. A run that begins wakes it only when it
//! would sleep past that run's end, so with a bound of 30 s that is at most one wake-up every 30 s.
//!
//! **Why no run is overlooked.** The thread says that it may sleep for good (`wakes_at`), then looks at
//! every watch, then says when it will wake. A worker enters its run in the watch first and reads
//! `wakes_at` afterwards. Both touch the watch under its lock: if the thread looks at it later, it sees the
//! run; if earlier, the lock orders its "for good" before the worker's reading, so the worker reads that or
//! something newer, and wakes the thread if it would come too late. The atomic itself can thus be relaxed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::Terminator;

/// How long a run may take to return once it was told to end.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// One worker's run, if it is in one, and what is at stake in it.
pub(crate) struct Watch<P> {
    state: Mutex<State<P>>,
    grace: Duration,
}

enum State<P> {
    Idle,
    Running {
        too_long: Instant,
        stake: P,
        terminator: Option<Arc<dyn Terminator>>,
    },
    /// It was told to end.
    Ending {
        too_late: Instant,
        stake: P,
    },
    GivenUp,
}

/// How a run ended, as its worker hears it.
pub(crate) enum Ended<P> {
    InTime(P),
    /// It was told to end, and returned.
    Terminated(P),
    /// It came too late: nobody expects it any more.
    GivenUp,
}

/// What a look at a watch came to.
pub(crate) enum Look<P> {
    /// Look again then, if nothing changes.
    Until(Option<Instant>),
    /// The run was told to end just now.
    Told(Instant),
    GivenUp(P),
}

impl<P> Watch<P> {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { state: Mutex::new(State::Idle), grace }
    }

    pub(crate) fn begin(
        &self,
        too_long: Instant,
        stake: P,
        terminator: Option<Arc<dyn Terminator>>,
    ) {
        *self.lock() = State::Running { too_long, stake, terminator };
    }

    pub(crate) fn end(&self) -> Ended<P> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Idle) {
            State::Running { stake, .. } => Ended::InTime(stake),
            State::Ending { stake, .. } => Ended::Terminated(stake),
            State::Idle | State::GivenUp => {
                *state = State::GivenUp;
                Ended::GivenUp
            }
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn look(&self, now: Instant) -> Look<P> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Idle) {
            State::Running { too_long, stake, terminator } if now >= too_long => {
                // Under the lock: the worker cannot go on to another run in between.
                if let Some(terminator) = terminator {
                    terminator.terminate();
                }
                let too_late = now + self.grace;
                *state = State::Ending { too_late, stake };
                Look::Told(too_late)
            }
            State::Ending { too_late, stake } if now >= too_late => {
                *state = State::GivenUp;
                Look::GivenUp(stake)
            }
            undue => {
                let next = match &undue {
                    State::Running { too_long, .. } => Some(*too_long),
                    State::Ending { too_late, .. } => Some(*too_late),
                    State::Idle | State::GivenUp => None,
                };
                *state = undue;
                Look::Until(next)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom the watchdog looks after.
pub(crate) trait Ward: Send + Sync {
    /// Does what is due, and says when to look again if nothing begins meanwhile.
    fn look(&self, now: Instant) -> Option<Instant>;
}

/// The thread that looks.
pub(crate) struct Watchdog {
    wards: Mutex<Vec<Weak<dyn Ward>>>,
    /// In nanoseconds since `epoch`; the largest number while it may sleep for good.
    wakes_at: AtomicU64,
    epoch: Instant,
    thread: Mutex<Option<Thread>>,
}

impl Watchdog {
    /// The one of this process; its thread is started with the first call.
    pub(crate) fn of_this_process() -> io::Result<Arc<Self>> {
        static WATCHDOG: Mutex<Option<Arc<Watchdog>>> = Mutex::new(None);
        let mut watchdog = WATCHDOG.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watchdog) = &*watchdog {
            return Ok(Arc::clone(watchdog));
        }
        let new = Arc::new(Self::asleep());
        let working = Arc::clone(&new);
        let thread = thread::Builder::new()
            .name("tidegate-watch".to_owned())
            .spawn(move || working.work())?;
        *new.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread.thread().clone());
        Ok(Arc::clone(watchdog.insert(new)))
    }

    /// One without a thread: it looks when it is told to.
    pub(crate) fn asleep() -> Self {
        Self {
            wards: Mutex::default(),
            wakes_at: AtomicU64::new(u64::MAX),
            epoch: Instant::now(),
            thread: Mutex::default(),
        }
    }

    pub(crate) fn look_after(&self, ward: Weak<dyn Ward>) {
        self.wards().push(ward);
    }

    /// A run that is too long from this instant on was entered in a watch.
    pub(crate) fn began(&self, too_long: Instant) {
        if self.nanos(too_long) < self.wakes_at.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }

    fn work(&self) {
        loop {
            self.wakes_at.store(u64::MAX, Ordering::Relaxed);
            match self.look(Instant::now()) {
                None => thread::park(),
                Some(next) => {
                    self.wakes_at.store(self.nanos(next), Ordering::Relaxed);
                    thread::park_timeout(next.saturating_duration_since(Instant::now()));
                }
            }
        }
    }

    /// At all wards. Says when to look again.
    pub(crate) fn look(&self, now: Instant) -> Option<Instant> {
        let wards: Vec<_> = {
            let mut wards = self.wards();
            wards.retain(|ward| ward.strong_count() > 0);
            wards.iter().filter_map(Weak::upgrade).collect()
        };
        let looked = wards.iter().filter_map(|ward| {
            // What one ward does with a run that it gives up is no danger to the others.
            catch_unwind(AssertUnwindSafe(|| ward.look(now))).ok().flatten()
        });
        looked.min()
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.epoch);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn wards(&self) -> MutexGuard<'_, Vec<Weak<dyn Ward>>> {
        self.wards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    #[derive(Default)]
    struct Told(AtomicUsize);

    impl Terminator for Told {
        fn terminate(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn running(too_long: Instant) -> (Watch<&'static str>, Arc<Told>) {
        let (watch, told) = (Watch::new(SECOND), Arc::<Told>::default());
        watch.begin(too_long, "promises", Some(Arc::clone(&told) as Arc<dyn Terminator>));
        (watch, told)
    }

    #[test]
    fn a_run_in_time_is_left_alone() {
        let now = Instant::now();
        let (watch, told) = running(now + SECOND);
        assert!(matches!(watch.look(now), Look::Until(Some(next)) if next == now + SECOND));
        assert!(matches!(watch.end(), Ended::InTime("promises")));
        assert!(matches!(watch.look(now + 2 * SECOND), Look::Until(None)));
        assert_eq!(told.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_run_that_is_too_long_is_told_to_end_once_and_its_worker_hears_of_it() {
        let now = Instant::now();
        let (watch, told) = running(now);
        assert!(matches!(watch.look(now), Look::Told(next) if next == now + SECOND));
        assert!(matches!(watch.look(now), Look::Until(Some(next)) if next == now + SECOND));
        assert!(matches!(watch.end(), Ended::Terminated("promises")));
        assert_eq!(told.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_run_that_does_not_end_is_given_up_and_what_was_at_stake_is_handed_over_once() {
        let now = Instant::now();
        let (watch, _) = running(now);
        assert!(matches!(watch.look(now), Look::Told(_)));
        assert!(matches!(watch.look(now + SECOND), Look::GivenUp("promises")));
        assert!(matches!(watch.look(now + 2 * SECOND), Look::Until(None)));
        assert!(matches!(watch.end(), Ended::GivenUp));
    }

    struct Yard {
        watch: Watch<&'static str>,
        given_up: mpsc::Sender<&'static str>,
    }

    impl Ward for Yard {
        fn look(&self, now: Instant) -> Option<Instant> {
            match self.watch.look(now) {
                Look::Until(next) => next,
                Look::Told(next) => Some(next),
                Look::GivenUp(stake) => {
                    self.given_up.send(stake).unwrap();
                    None
                }
            }
        }
    }

    #[test]
    fn the_thread_sees_a_short_run_although_it_sleeps_for_a_long_one() {
        let watchdog = Watchdog::of_this_process().unwrap();
        let (sender, given_up) = mpsc::channel();
        let yard = |bound: Duration| {
            let watch = Watch::new(Duration::from_millis(1));
            let yard = Arc::new(Yard { watch, given_up: sender.clone() });
            watchdog.look_after(Arc::downgrade(&yard) as Weak<dyn Ward>);
            let too_long = Instant::now() + bound;
            yard.watch.begin(too_long, "promises", None);
            watchdog.began(too_long);
            yard
        };
        let _long = yard(3600 * SECOND);
        let _short = yard(Duration::from_millis(1));
        assert_eq!(given_up.recv(), Ok("promises"));
    }
}
