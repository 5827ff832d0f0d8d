//! gRPC on the same port: calls, streams, statuses, limits, what becomes of a call that is cancelled, and what calls
//! leave in statistics and metrics.

mod calls;
mod client;
mod keys;
mod model_config;
mod streams;
mod telling;
