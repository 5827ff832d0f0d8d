//! Who of a version's workers forms the next batch, and who sleeps.
//!
//! A worker that is free takes the lock, asks the batcher, and lets go of the lock before it executes
//! or sleeps: forming is serial, execution parallel, and no dispatcher thread stands in between.
//! Asking the batcher takes back whatever wake-up was registered with the queue, so one rule keeps
//! requests from being forgotten: *whoever has asked registers a sleeper before letting go of the
//! lock*: itself, if it finds nothing to do, else the one that fell asleep last. That one is not woken
//! for this; the queue wakes it when a request comes. Only when every worker is executing is nobody
//! registered, and then the first to finish asks again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use tidegate_batcher::{Batch, Batcher, Run, Step, Ticket};

pub(crate) struct Leadership(Mutex<Shift>);

struct Shift {
    /// `None` when the group did not come about.
    batcher: Option<Batcher>,
    /// The last one fell asleep last.
    sleepers: Vec<Sleeper>,
}

/// A worker as the others know it.
#[derive(Clone)]
pub(crate) struct Sleeper {
    pub(crate) worker: usize,
    pub(crate) waker: Waker,
}

/// What a worker should do, once it no longer holds the lock.
pub(crate) enum Turn {
    Execute(Batch),
    /// Until the instant, if there is one, or until woken.
    Sleep(Option<Instant>),
    /// There will never be another batch.
    Leave,
}

impl Leadership {
    pub(crate) fn new(batcher: Batcher) -> Arc<Self> {
        let leadership =
            Arc::new(Self(Mutex::new(Shift { batcher: Some(batcher), sleepers: Vec::new() })));
        let sweeping = Arc::downgrade(&leadership);
        if let Some(batcher) = &leadership.lock().batcher {
            batcher.on_full(move |now| {
                sweeping.upgrade().is_some_and(|leadership| leadership.sweep(now))
            });
        }
        leadership
    }

    /// Rids the queue of requests that nobody waits for, if nobody has the lock; whoever has it does
    /// as much. True when it was done here.
    fn sweep(&self, now: Instant) -> bool {
        let Ok(mut shift) = self.0.try_lock() else { return false };
        let Some(batcher) = &mut shift.batcher else { return false };
        batcher.sweep(now);
        true
    }

    /// How many batches can run at the same time from now on.
    pub(crate) fn set_instances(&self, instances: usize) {
        if let Some(batcher) = &mut self.lock().batcher {
            batcher.set_instances(instances);
        }
    }

    /// Tells how a batch went, out of turn: for a worker that will not ask again, or a part of a batch.
    pub(crate) fn finished(&self, ticket: Ticket, run: Run, now: Instant) {
        if let Some(batcher) = &mut self.lock().batcher {
            batcher.finished(ticket, run, now);
        }
    }

    /// Sends every worker home; the requests that wait are answered with an error.
    pub(crate) fn abandon(&self) {
        let mut shift = self.lock();
        shift.batcher = None;
        shift.wake_all();
    }

    /// One worker's turn at the batcher, after it has told how its last batch went.
    pub(crate) fn take_turn(
        &self,
        me: &Sleeper,
        finished: Option<(Ticket, Run)>,
        now: Instant,
    ) -> Turn {
        let mut shift = self.lock();
        let Shift { batcher: Some(batcher), sleepers } = &mut *shift else {
            return Turn::Leave;
        };
        if let Some((ticket, run)) = finished {
            batcher.finished(ticket, run, now);
        }
        sleepers.retain(|sleeper| sleeper.worker != me.worker);
        let until = match batcher.step(now) {
            Step::Dispatch(batch) => {
                register(batcher, sleepers.last());
                return Turn::Execute(batch);
            }
            Step::WaitUntil(instant) => Some(instant),
            Step::Idle => None,
            Step::Closed => {
                shift.wake_all();
                return Turn::Leave;
            }
        };
        sleepers.push(me.clone());
        register(batcher, sleepers.last());
        Turn::Sleep(until)
    }

    fn lock(&self) -> MutexGuard<'_, Shift> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on, the queue wakes this one. If there is something to do already, that is now: rows that
/// came in the meantime, or rows that the last batch left behind, whose time only the batcher knows.
fn register(batcher: &mut Batcher, sleeper: Option<&Sleeper>) {
    let Some(Sleeper { waker, .. }) = sleeper else { return };
    if batcher.poll_news(&mut Context::from_waker(waker)).is_ready() {
        waker.wake_by_ref();
    }
}

impl Shift {
    fn wake_all(&mut self) {
        self.sleepers.drain(..).for_each(|sleeper| sleeper.waker.wake());
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use tidegate_batcher::{Answer, BatchPolicy, Batching, InputAxis, Queue, RowLayout, queue};
    use tidegate_inference::{DataType, Deadline, Shape, Tensor, TensorData};

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Bed(AtomicUsize);

    impl Wake for Bed {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Workers that only take turns; nothing runs and no time passes.
    struct Crew {
        queue: Arc<Queue>,
        leadership: Arc<Leadership>,
        beds: Vec<Arc<Bed>>,
        now: Instant,
    }

    impl Crew {
        fn new(workers: usize, max_batch_size: usize, max_queue_delay: Duration) -> Self {
            let size = NonZeroUsize::new(max_batch_size).unwrap();
            let layout = RowLayout { inputs: vec![InputAxis::Rows(0)], outputs: vec![0] };
            let policy = BatchPolicy::new(size, size, max_queue_delay).unwrap();
            let (queue, batcher) =
                queue(Batching::Rows { layout, policy }, NonZeroUsize::new(64).unwrap());
            let beds = (0..workers).map(|_| Arc::<Bed>::default()).collect();
            Self { queue, leadership: Leadership::new(batcher), beds, now: Instant::now() }
        }

        fn submit(&self) -> Answer {
            let data = TensorData::Fixed(vec![0].into());
            let x = Tensor::new("x", DataType::Uint8, Shape::new(&[1]), data).unwrap();
            let deadline = Deadline::after(self.now, Duration::from_secs(60));
            self.queue.submit(vec![x], deadline, self.now).unwrap()
        }

        fn turn(&self, worker: usize) -> Turn {
            let me = Sleeper { worker, waker: Arc::clone(&self.beds[worker]).into() };
            self.leadership.take_turn(&me, None, self.now)
        }

        fn sleeps(&self, worker: usize) -> bool {
            matches!(self.turn(worker), Turn::Sleep(_))
        }

        fn executes(&self, worker: usize) -> usize {
            match self.turn(worker) {
                Turn::Execute(batch) => batch.rows(),
                Turn::Sleep(_) | Turn::Leave => panic!("expected worker {worker} to execute"),
            }
        }

        fn woken(&self) -> Vec<usize> {
            self.beds.iter().map(|bed| bed.0.load(Ordering::Relaxed)).collect()
        }
    }

    #[test]
    fn a_lone_request_wakes_one_worker_and_the_next_request_the_next() {
        let crew = Crew::new(3, 8, Duration::ZERO);
        assert!((0..3).all(|worker| crew.sleeps(worker)));
        let _first = crew.submit();
        assert_eq!(crew.woken(), [0, 0, 1]);
        assert_eq!(crew.executes(2), 1);
        assert_eq!(crew.woken(), [0, 0, 1]);
        let _second = crew.submit();
        assert_eq!(crew.woken(), [0, 1, 1]);
        assert_eq!(crew.executes(1), 1);
    }

    #[test]
    fn a_batch_that_leaves_requests_behind_wakes_a_sleeper() {
        let crew = Crew::new(2, 1, Duration::ZERO);
        assert!(crew.sleeps(0) && crew.sleeps(1));
        let _both = [crew.submit(), crew.submit()];
        assert_eq!(crew.woken(), [0, 1]);
        assert_eq!(crew.executes(1), 1);
        assert_eq!(crew.woken(), [1, 1]);
        assert_eq!(crew.executes(0), 1);
    }

    #[test]
    fn whoever_has_seen_a_request_last_keeps_its_time() {
        let crew = Crew::new(2, 8, Duration::from_millis(5));
        assert!(crew.sleeps(0) && crew.sleeps(1));
        let _waiting = crew.submit();
        // Worker 0 was not woken, but may wake for no reason at all.
        let Turn::Sleep(Some(until)) = crew.turn(0) else { panic!("expected a sleep with an end") };
        assert_eq!(until, crew.now + Duration::from_millis(5));
    }

    #[test]
    fn when_all_execute_the_first_to_finish_finds_what_came_meanwhile() {
        let crew = Crew::new(1, 8, Duration::ZERO);
        let _first = crew.submit();
        assert_eq!(crew.executes(0), 1);
        let _others = [crew.submit(), crew.submit()];
        assert_eq!(crew.woken(), [0]);
        assert_eq!(crew.executes(0), 2);
    }

    #[test]
    fn closing_wakes_everyone_and_sends_them_home() {
        let crew = Crew::new(3, 8, Duration::ZERO);
        assert!((0..3).all(|worker| crew.sleeps(worker)));
        crew.queue.close();
        assert_eq!(crew.woken(), [0, 0, 1]);
        assert!(matches!(crew.turn(2), Turn::Leave));
        assert_eq!(crew.woken(), [1, 1, 1]);
        assert!((0..2).all(|worker| matches!(crew.turn(worker), Turn::Leave)));
    }
}
