//! The repository as it is written to, without an engine.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod commands;
mod crash;
mod schema;
mod site;
