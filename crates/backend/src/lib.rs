//! Runs batches: the face of an engine, the workers that pull, the batch-safety check, the mock.
//!
//! An engine implements [`Backend`] and [`Instance`] and knows nothing of queues; the workers of an
//! [`InstanceGroup`] know nothing of engines. Nothing here waits for I/O or touches a wire format.

mod crew;
mod engine;
mod group;
mod health;
mod isolation;
mod leadership;
mod mock;
mod reruns;
mod safety;
mod seat;
#[cfg(test)]
mod testing;
mod watchdog;
mod worker;

pub use engine::{
    Backend, Instance, LoadError, LoadOptions, Loaded, Rebuild, RunFailure, Terminator,
};
pub use group::{Care, InstanceGroup};
pub use health::Fitness;
pub use mock::{MockBackend, Run};
pub use safety::{BatchSafety, check_batch_safety};
