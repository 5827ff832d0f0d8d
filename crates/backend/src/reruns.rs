//! The batches of one worker that failed and are being run again in parts.
//!
//! One after the other: the first is finished before the second is begun.

use std::collections::VecDeque;

use tidegate_batcher::Batch;

use crate::isolation::{Isolation, Part};

impl Part for Batch {
    fn requests(&self) -> usize {
        Batch::requests(self)
    }

    fn is_divisible(&self) -> bool {
        Batch::is_divisible(self)
    }

    fn halves(self) -> (Self, Self) {
        Batch::halves(self)
    }
}

#[derive(Default)]
pub(crate) struct Reruns(VecDeque<Isolation<Batch>>);

impl Reruns {
    /// Batches that are not decided yet.
    pub(crate) fn batches(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn begin(&mut self, isolation: Isolation<Batch>) {
        self.0.push_back(isolation);
    }

    /// The one that is being worked on.
    pub(crate) fn current(&mut self) -> Option<&mut Isolation<Batch>> {
        self.0.front_mut()
    }

    /// Its cases are all decided.
    pub(crate) fn end_current(&mut self) {
        self.0.pop_front();
    }

    /// The part that was running is gone, and nothing was learnt from it.
    pub(crate) fn lost_what_ran(&mut self) {
        if let Some(current) = self.current() {
            current.vanished();
        }
    }

    /// Everybody who is undecided.
    pub(crate) fn give_up(&mut self) -> impl Iterator<Item = Batch> {
        std::mem::take(&mut self.0).into_iter().flat_map(Isolation::give_up)
    }
}
