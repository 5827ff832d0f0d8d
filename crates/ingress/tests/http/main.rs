//! The data port over real sockets, with a mock behind the front door: paths, statuses, limits and the
//! lifetimes of permits and connections. Delays are gates that a test opens, never sleeps.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod client;
mod manager;
mod mock;

mod access;
mod bodies;
mod connections;
mod drain;
mod errors;
mod grpc;
mod keys;
mod lifetimes;
mod limits;
mod listeners;
mod metrics;
mod paths;
mod repository;
mod statistics;
mod timeouts;
