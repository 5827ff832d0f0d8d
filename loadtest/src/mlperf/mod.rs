//! The four scenarios in the manner of MLPerf Inference's load generator.

mod rules;

pub use crate::mlperf::rules::{Rules, Scenario, judge};
