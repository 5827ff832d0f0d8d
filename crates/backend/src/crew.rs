//! The threads of one group: who is at work, who has ended, who is stuck in the engine.
//!
//! A thread that is stuck cannot be ended or joined. It is given up, and only counted: the process must
//! then end without the engine's own clean-up, which is for whoever joins the group to know.

use std::collections::HashMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Crew {
    roster: Mutex<Roster>,
    changed: Condvar,
}

#[derive(Default)]
struct Roster {
    next: Member,
    at_work: HashMap<Member, JoinHandle<()>>,
    ended: Vec<JoinHandle<()>>,
    given_up: Vec<Member>,
}

/// A thread, by the order in which it joined.
pub(crate) type Member = usize;

impl Crew {
    /// Starts a thread. It says that it [leaves](Self::leaves) as the last thing it does.
    pub(crate) fn enlist(
        &self,
        name: String,
        work: impl FnOnce(Member) + Send + 'static,
    ) -> io::Result<()> {
        // The lock is held: the new thread cannot leave before it is in the roster.
        let mut roster = self.lock();
        let member = roster.next;
        let handle = thread::Builder::new().name(name).spawn(move || work(member))?;
        roster.next += 1;
        roster.at_work.insert(member, handle);
        Ok(())
    }

    /// Says whether the thread had been given up.
    pub(crate) fn leaves(&self, member: Member) -> bool {
        let mut roster = self.lock();
        let ended = roster.at_work.remove(&member);
        roster.ended.extend(ended);
        let given_up = roster.given_up.iter().position(|stuck| *stuck == member);
        given_up.map(|place| roster.given_up.swap_remove(place));
        self.changed.notify_all();
        given_up.is_some()
    }

    /// The thread is stuck, and nobody waits for it any more.
    pub(crate) fn give_up(&self, member: Member) {
        let mut roster = self.lock();
        // Dropping the handle lets the thread go its own way.
        drop(roster.at_work.remove(&member));
        roster.given_up.push(member);
        self.changed.notify_all();
    }

    /// Waits until nobody is at work. Says how many threads are stuck.
    pub(crate) fn join(&self) -> usize {
        let mut roster = self
            .changed
            .wait_while(self.lock(), |roster| !roster.at_work.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let (ended, stuck) = (std::mem::take(&mut roster.ended), roster.given_up.len());
        drop(roster);
        for thread in ended {
            if thread.join().is_err() {
                tracing::error!("a worker ended with a panic");
            }
        }
        stuck
    }

    /// Whether nobody is at work any more, for which it waits so long at most.
    pub(crate) fn has_left_within(&self, patience: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), patience, |roster| !roster.at_work.is_empty());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
