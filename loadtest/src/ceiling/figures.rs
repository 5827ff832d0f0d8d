//! What a ceiling run found: the words of its table, and the JSON that others may read (docs/loadtest.md describes it).

use serde::{Deserialize, Serialize};

use super::threads::Threads;
use crate::figures::{Machine, Tool};

/// Changes when a reader of the JSON would have to.
pub const SCHEMA: &str = "tidegate-ceiling/1";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CeilingReport {
    pub schema: String,
    pub tool: Tool,
    pub machine: Machine,
    /// RFC 3339, UTC.
    pub started: String,
    /// As it was typed.
    pub command: Vec<String>,
    /// The model's file.
    pub model: String,
    /// ONNX Runtime's library.
    pub library: String,
    pub seed: u64,
    /// Rounds that were measured to their end; every figure is a median over them, or a percentile over all their samples.
    pub rounds: usize,
    /// How long each was loaded in each round.
    pub seconds: f64,
    /// The model alone, by threads and then by batch.
    pub raw: Vec<RawFigures>,
    /// The wire alone.
    pub bare: Vec<BareFigures>,
    /// What a reader should know, such as why something was left out.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawFigures {
    #[serde(flatten)]
    pub threads: Threads,
    /// Rows of every run.
    pub batch: usize,
    pub rows_per_second: f64,
    /// Of one run.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Runs that the percentiles are of.
    pub runs: u64,
    /// User and system time; none where the system does not tell it.
    pub cpu_us_per_row: Option<f64>,
    /// The smallest batch, with these threads, that no larger one beats by more than five per cent.
    pub knee: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BareFigures {
    /// `http` or `grpc`.
    pub protocol: String,
    pub callers: usize,
    pub request_bytes: usize,
    pub answer_bytes: usize,
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub requests: u64,
    /// Of the server's process.
    pub cpu_us_per_request: Option<f64>,
    /// CPU time of the generator over wall time.
    pub generator_cores: f64,
    /// Why the figures are not to be believed; empty where they are.
    pub doubts: Vec<String>,
}
