//! How large and how late a batch may become.

use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_inference::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    max_batch_size: NonZeroUsize,
    waiting: Waiting,
}

/// How a batch decides that it waits for nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// By what runs cost and who comes, as far as that was learned.
    Adaptive,
    /// By a number of rows and a time, as written down.
    Fixed { batch_size: NonZeroUsize, max_queue_delay: Duration },
}

impl BatchPolicy {
    /// The longest `max_queue_delay`. Nobody waits so long for company; the bound keeps instants
    /// within what the clock can count.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(3600);

    /// Nothing to tune: at most `max_batch_size` rows, and else what pays.
    pub fn adaptive(max_batch_size: NonZeroUsize) -> Self {
        Self { max_batch_size, waiting: Waiting::Adaptive }
    }

    /// `batch_size` rows are the target: reached, the batch goes. A backlog may fill it up to
    /// `max_batch_size` rows and not past it. `max_queue_delay` is how long the oldest request may
    /// wait for company; zero means that a batch goes as soon as a worker is free.
    ///
    /// # Errors
    /// When the target is above the cap, or the delay above [`BatchPolicy::LONGEST_DELAY`].
    pub fn new(
        batch_size: NonZeroUsize,
        max_batch_size: NonZeroUsize,
        max_queue_delay: Duration,
    ) -> Result<Self> {
        if batch_size > max_batch_size {
            return Err(Error::invalid(format!(
                "batch_size is {batch_size}, expected at most max_batch_size, which is {max_batch_size}"
            )));
        }
        if max_queue_delay > Self::LONGEST_DELAY {
            return Err(Error::invalid(format!(
                "max_queue_delay is {max_queue_delay:?}, expected at most {:?}",
                Self::LONGEST_DELAY
            )));
        }
        Ok(Self { max_batch_size, waiting: Waiting::Fixed { batch_size, max_queue_delay } })
    }

    pub fn max_batch_size(&self) -> usize {
        self.max_batch_size.get()
    }

    pub fn waiting(&self) -> Waiting {
        self.waiting
    }
}
