//! Decides whether a request enters, and which version's queue it joins.
//!
//! Knows no wire format and no engine. Control publishes immutable route tables; every request
//! reads exactly one of them, from its admission to its answer.

mod limits;
mod route;
mod router;
mod split;
mod timing;

pub use limits::Limits;
pub use route::{Lane, ModelRoute, RouteTable};
pub use router::{Passage, Router};
pub use split::{TrafficSplit, Weight};
pub use timing::Timing;
