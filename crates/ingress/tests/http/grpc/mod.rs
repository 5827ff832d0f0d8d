//! gRPC on the same port: calls, streams, statuses, limits, and what becomes of a call that is cancelled.

mod calls;
mod client;
mod streams;
