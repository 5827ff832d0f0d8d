//! Integration tests: a gateway on port 0, real requests, one test binary.
//!
//! Two ways to have a gateway: a `house` in this process on a mock engine, which a test can hold, fail
//! and look into; and a `process`, the built binary on ONNX Runtime, which a test can signal and kill.
//! What one module alone holds is tested there; here is what only the rooms together can be asked.

#![cfg(test)]

mod client;
mod house;
mod library;
mod process;
mod scrape;
mod wire;

mod arrows;
mod batch_safety;
mod coalescing;
mod containment;
mod crash;
mod crowd;
mod deadlines;
mod departed;
mod errors;
mod followed;
mod leaving;
mod loadtest;
mod management;
mod readme;
mod scenarios;
mod triton_config;
