//! Turns timelines and events into metrics and logs.
//!
//! Handles ([`ModelMetrics`], [`ConnectionMetrics`]) are taken once and passed in at construction; the
//! hot path only adds to atomics. Nothing here measures time: durations arrive, already measured.

mod access;
mod connections;
mod exposition;
mod families;
mod faults;
mod histogram;
mod keys;
mod log_level;
mod logging;
mod machine;
mod model;
mod shed;
mod telemetry;
mod tensorflow;
mod together;
mod totals;
mod triton;

pub use access::{AccessLog, AccessRecord, AccessSampling};
pub use connections::{ConnectionMetrics, OpenConnection};
pub use exposition::CONTENT_TYPE;
pub use faults::{FaultMetrics, RebuildReason};
pub use keys::{KeyFileMetrics, KeyMetrics, Port};
pub use log_level::LogLevel;
pub use logging::{LogConfig, LogFilter, init_logging};
pub use model::{ModelMetrics, QueueView};
pub use shed::Shed;
pub use telemetry::{GatewayView, Telemetry};
