//! Rules from the literature that were tried and lost. They run in the same batcher as ours, so that the comparison is one of
//! rules and not of programs; `docs/batching.md` has the figures.

mod aimd;
mod deferred;

pub use aimd::Aimd;
pub use deferred::Deferred;
