//! How large and how late a batch may become.

use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_inference::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    batch_size: NonZeroUsize,
    max_batch_size: NonZeroUsize,
    max_queue_delay: Duration,
}

impl BatchPolicy {
    /// The longest `max_queue_delay`. Nobody waits so long for company; the bound keeps instants
    /// within what the clock can count.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(3600);

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
        Ok(Self { batch_size, max_batch_size, max_queue_delay })
    }

    pub fn batch_size(&self) -> usize {
        self.batch_size.get()
    }

    pub fn max_batch_size(&self) -> usize {
        self.max_batch_size.get()
    }

    pub fn max_queue_delay(&self) -> Duration {
        self.max_queue_delay
    }
}
