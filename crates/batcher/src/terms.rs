//! What a request asks of the queue: until when, and how urgently.

use tidegate_inference::{Deadline, Priority};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Past it nobody waits: the request is answered with an error and never run.
    pub deadline: Deadline,
    /// When its answer should be there. Order and size of batches and admission look at it; an answer
    /// between the two is late, and still sent.
    pub target: Deadline,
    pub priority: Priority,
}

impl From<Deadline> for Terms {
    /// Wanted by its deadline, with the usual priority.
    fn from(deadline: Deadline) -> Self {
        Self { deadline, target: deadline, priority: Priority::DEFAULT }
    }
}
