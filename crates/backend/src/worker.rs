//! A thread that pulls batches from its version's queue and runs them, one instance's worth.
//!
//! Who of a group's workers forms the next batch is decided in `leadership`, which part of a failed batch
//! runs next in `isolation`; here is only the order of things.
//!
//! Between two reruns the worker takes at most one new batch, so requests that have nothing to do with
//! the failure wait for one rerun and not for all of them. Only when that batch fails as well are no more
//! taken until the first is decided: then others wait for the reruns of one batch, at most 2 log2(n) + 1
//! where it holds one culprit. No rerun begins for a request whose deadline has passed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use tidegate_batcher::{Batch, Run, RunTimes, Ticket};
use tidegate_inference::{Error, Tensor};
use tidegate_telemetry::RebuildReason;

use crate::Instance;
use crate::engine::Fault;
use crate::group::Group;
use crate::health::Streak;
use crate::isolation::Isolation;
use crate::leadership::{Sleeper, Turn};
use crate::reruns::Reruns;
use crate::seat::{Attempt, GivenUp, Post, Seat};

/// What the batcher hears of a run.
pub(crate) type Report = (Ticket, Run);

pub(crate) struct Worker {
    seat: Seat,
    reruns: Reruns,
    streak: Streak,
    /// The version's [epoch](Group::epoch) in which this instance was last known to be good.
    epoch: u64,
    /// For the batcher, at the next turn.
    finished: Option<Report>,
}

/// Which run of its members' inputs it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Again,
}

impl Worker {
    pub(crate) fn with_instance(instance: Box<dyn Instance>) -> impl FnOnce(Arc<Post>) -> Self {
        move |post| Self::at(Seat::new(post, Ok(instance)), Reruns::default())
    }

    /// Takes the place of a worker that did not come back.
    pub(crate) fn with_inheritance(
        reruns: Reruns,
        why: RebuildReason,
    ) -> impl FnOnce(Arc<Post>) -> Self {
        move |post| Self::at(Seat::new(post, Err(why)), reruns)
    }

    fn at(seat: Seat, reruns: Reruns) -> Self {
        Self { seat, reruns, streak: Streak::default(), epoch: 0, finished: None }
    }

    /// Until there will never be another batch, or it comes back from the engine too late.
    pub(crate) fn work(mut self) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let me = Sleeper { worker: self.seat.number(), waker };
        while let Ok(ControlFlow::Continue(())) = self.go_on(&me) {}
    }

    fn go_on(&mut self, me: &Sleeper) -> Result<ControlFlow<()>, GivenUp> {
        self.look_after_the_instance()?;
        if self.reruns.batches() < 2 {
            let now = Instant::now();
            let idle = self.reruns.batches() == 0;
            match self.seat.group().leadership.take_turn(me, self.finished.take(), now) {
                Turn::Execute(batch) => self.execute(batch, now)?,
                Turn::Leave if idle => return Ok(ControlFlow::Break(())),
                Turn::Sleep(until) if idle => self.sleep(until),
                Turn::Leave | Turn::Sleep(_) => {}
            }
        }
        self.rerun()?;
        Ok(ControlFlow::Continue(()))
    }

    fn group(&self) -> &Group {
        self.seat.group()
    }

    /// May end early or for no reason: then the next turn is another sleep.
    fn sleep(&self, until: Option<Instant>) {
        match [until, self.group().next_probe()].into_iter().flatten().min() {
            None => thread::park(),
            Some(until) => thread::park_timeout(until.saturating_duration_since(Instant::now())),
        }
    }

    /// Before the next batch is taken: an unfit version is probed when it is time, and a missing instance
    /// is made again.
    fn look_after_the_instance(&mut self) -> Result<(), GivenUp> {
        if self.group().take_probe() {
            let outcome = self.seat.prove(&mut self.reruns)?;
            self.group().probed(outcome);
            self.epoch = self.group().epoch();
        }
        if self.seat.is_vacant() {
            self.refusal()?;
        }
        Ok(())
    }

    /// Why nothing can run now. `None`: the instance is there, and good as far as anybody knows.
    fn refusal(&mut self) -> Result<Option<Error>, GivenUp> {
        let refusal = self.group().refusal();
        if refusal.is_some() {
            return Ok(refusal);
        }
        let epoch = self.group().epoch();
        // Another worker's instance was proved when the version became fit again; this one was not.
        let usable = if epoch == self.epoch {
            self.seat.rebuild()
        } else {
            self.seat.prove(&mut self.reruns)?
        };
        match usable {
            Ok(()) => self.epoch = epoch,
            Err(reason) => self.group().broke_down(reason),
        }
        Ok(self.group().refusal())
    }

    fn execute(&mut self, batch: Batch, dispatched: Instant) -> Result<(), GivenUp> {
        if let Some(refusal) = self.refusal()? {
            self.finished = Some((batch.ticket(), Run::default()));
            batch.fail(&refusal);
            return Ok(());
        }
        let attempt = self.seat.run(batch, dispatched, &mut self.reruns)?;
        self.settle(attempt, dispatched, Which::First)
    }

    /// The next part of the batch that failed first.
    fn rerun(&mut self) -> Result<(), GivenUp> {
        if self.reruns.batches() == 0 {
            return Ok(());
        }
        if let Some(refusal) = self.refusal()? {
            self.give_up_reruns(&refusal);
            return Ok(());
        }
        let Some(current) = self.reruns.current() else { return Ok(()) };
        let Some(mut part) = current.next() else {
            self.reruns.end_current();
            return Ok(());
        };
        let now = Instant::now();
        if part.drop_stale(now) == 0 {
            current.vanished();
            return Ok(());
        }
        self.group().metrics.faults().isolation_run();
        let attempt = self.seat.run(part, now, &mut self.reruns)?;
        self.settle(attempt, now, Which::Again)
    }

    fn settle(
        &mut self,
        attempt: Attempt,
        dispatched: Instant,
        which: Which,
    ) -> Result<(), GivenUp> {
        let Attempt { batch, outcome, gathered, executed } = attempt;
        let facts = batch.facts();
        let doubts = match outcome {
            Ok(outputs) => {
                self.answer(batch, outputs, which, [dispatched, gathered, executed]);
                None
            }
            Err(fault) => {
                self.blame(batch, &fault, which);
                Some(fault)
            }
        };
        if which == Which::First {
            let (gather, execute) = (gathered - dispatched, executed - gathered);
            self.group().metrics.batch(facts, gather, execute, executed.elapsed());
        }
        match doubts {
            Some(fault) => self.doubt(&fault),
            None => Ok(()),
        }
    }

    fn answer(
        &mut self,
        batch: Batch,
        outputs: Vec<Tensor>,
        which: Which,
        [dispatched, gathered, executed]: [Instant; 3],
    ) {
        self.streak.succeeded();
        match which {
            Which::First => {
                // With the gathering: it grows with the rows as well, and callers wait for it as well.
                let execution = Some(executed - dispatched);
                self.finished = Some((batch.ticket(), Run { execution, ..Run::default() }));
            }
            Which::Again => {
                if let Some(current) = self.reruns.current() {
                    current.succeeded();
                }
            }
        }
        // The callers get their rows together with the stamps, so this one is the start of the
        // scatter; the metric knows its whole length.
        let scattered = Instant::now();
        batch.scatter(outputs, RunTimes { dispatched, gathered, executed, scattered });
    }

    /// Finds out who is to be told of the failure, and tells them; the others are run again.
    fn blame(&mut self, batch: Batch, fault: &Fault, which: Which) {
        let (ticket, rows) = (batch.ticket(), batch.rows());
        let mut run = Run::default();
        if which == Which::First && matches!(fault, Fault::Hung(_)) {
            // Each of them has this against it: deadlines may forbid to find out who it was.
            run.guilty = batch.fingerprints();
        }
        let mut begun = (which == Which::First).then(|| Isolation::new(batch.requests()));
        let isolation = begun.as_mut().or_else(|| self.reruns.current());
        let isolation = isolation.expect("what runs again belongs to the batch that is current");
        let alone = match fault {
            Fault::OutOfMemory(_) => {
                run.out_of_memory = Some(rows);
                self.seat.group().metrics.faults().out_of_memory();
                isolation.too_large(batch)
            }
            _ => isolation.failed(batch),
        };
        if let Some(culprit) = alone {
            if run.out_of_memory.is_none() {
                run.guilty = culprit.fingerprints();
                self.group().metrics.faults().poisoned_request();
            }
            culprit.fail(fault.error());
        } else {
            begun.into_iter().for_each(|begun| self.reruns.begin(begun));
        }
        // At once: the same request may be in the next batch of another worker.
        self.group().leadership.finished(ticket, run, Instant::now());
    }

    /// After a few failures in a row: is it the requests, or does nothing run any more?
    fn doubt(&mut self, fault: &Fault) -> Result<(), GivenUp> {
        if !self.streak.failed() {
            return Ok(());
        }
        let verdict = match self.seat.rebuild() {
            Ok(()) => self.seat.probe(&mut self.reruns)?,
            Err(reason) => Err(reason),
        };
        match verdict {
            Ok(()) => self.streak.cleared(),
            Err(reason) => {
                self.group().broke_down(reason);
                self.give_up_reruns(fault.error());
            }
        }
        Ok(())
    }

    fn give_up_reruns(&mut self, error: &Error) {
        self.reruns.give_up().for_each(|part| part.fail(error));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests;
