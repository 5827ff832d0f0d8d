//! The `tidegate` binary, and the gateway it runs: reads the configuration, builds the stack, serves, drains.
//!
//! [`Gateway::start`] is the whole house on one page. It takes its backend as an argument, so tests start
//! the same house on a mock; [`cli`] gives it ONNX Runtime and a process to live in.

mod admin_client;
pub mod cli;
mod config;
mod doors;
mod every;
mod gateway;
mod model;
mod ports_file;
mod probe;
mod running;
mod serve;
mod signals;
mod traffic;
mod weights;

pub use config::{ApiKeys, Config, Origin, Override, Overrides, Problem, Problems};
pub use gateway::{Gateway, StartError};
pub use running::{Running, Stopped};
