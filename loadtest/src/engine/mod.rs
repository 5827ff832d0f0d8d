//! Asks and records: the generator.

use std::ops::ControlFlow;
use std::time::Duration;

use http::Method;

use crate::Failure;
use crate::figures::{Progress, Run};
use crate::load::{Endpoint, Load, Transport};
use crate::question::{Answer, Prepared};

#[derive(Clone, Debug)]
pub struct DriveOptions {
    /// Generator threads; connections and arrivals are divided among them.
    pub threads: usize,
    pub seed: u64,
    /// A local server's process id: its CPU time is measured over the recorded time.
    pub server_process: Option<u32>,
}

/// Drives all loads at once, to their end. One [`Run`] for each, in the same order.
pub fn drive(
    _loads: &[Load],
    _options: &DriveOptions,
    _watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Vec<Run>, Failure> {
    Ok(Vec::new())
}

/// One exchange on a connection of its own, for metadata and golden answers.
pub fn once(
    _endpoint: &Endpoint,
    _transport: Transport,
    _method: Method,
    _request: &Prepared,
    _timeout: Duration,
) -> Result<Answer, Failure> {
    Err(Failure::new("not yet"))
}
