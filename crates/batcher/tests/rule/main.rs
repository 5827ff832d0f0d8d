//! What the batcher does, in made-up time: every instant here is made up, nothing sleeps.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod adaptive;
mod apart;
mod bench;
mod fixed;
mod order;
