//! Decides with whom a request is executed, and when: the queue, the batching rule, and the two
//! inverse motions around a run, gather and scatter.
//!
//! The crate does no I/O, spawns nothing and reads no clock: [`Batcher::step`] is told the time, so
//! a worker thread, an async task, a test with made-up instants and a simulator can all drive the
//! same rule. The queue is the waist of the house: many producers above, whoever leads below, and
//! neither side knows the other.

mod arrivals;
mod batch;
mod batcher;
mod bucket;
mod buffers;
pub mod burst;
mod forecast;
mod latency;
mod layout;
mod learned;
mod levels;
mod policy;
mod quarantine;
mod queue;
mod reply;
mod rows;
pub mod rule;
mod sync;
mod terms;

#[doc(hidden)]
pub use arrivals::{Arrivals, PushError};
pub use batch::{Batch, Promises, Ticket};
pub use batcher::{Batcher, Run, Step};
pub use buffers::{InputBuffers, TensorView, ViewData};
pub use forecast::KnownCost;
pub use latency::Curve;
pub use layout::{Batching, InputAxis, RowLayout};
pub use policy::{BatchPolicy, Waiting};
pub use quarantine::Fingerprint;
pub use queue::{Queue, queue, queue_with_rule};
pub use reply::{Answer, Answered, RunTimes};
pub use rows::{concat_rows, slice_rows};
pub use terms::Terms;
