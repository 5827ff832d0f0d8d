//! One load on a gateway that was prepared for, from one thread: what several benchmarks ask for.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tidegate_loadtest::ceiling::echo::channels;
use tidegate_loadtest::engine::{DriveOptions, drive};
use tidegate_loadtest::figures::Run;
use tidegate_loadtest::load::{Arrivals, Behaviour, Load, Transport};
use tidegate_loadtest::target::PreparedTarget;

use crate::Result;

/// Of the arrivals and of what is asked.
pub const SEED: u64 = 1;
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Of an open loop: so many requests at the same time. Those that find no place wait, and their wait counts.
const CALLERS: usize = 256;

pub struct Drive {
    pub name: String,
    pub arrivals: Arrivals,
    pub warm_up: Duration,
    pub duration: Duration,
    /// The server, for its CPU time.
    pub process: Option<u32>,
}

impl Drive {
    pub fn at(self, target: &PreparedTarget) -> Result<Run> {
        let Self { name, arrivals, warm_up, duration, process } = self;
        let callers = match arrivals {
            Arrivals::Closed { callers } => callers,
            Arrivals::Open(_) => CALLERS,
        };
        let (transport, connections) = match target.transport {
            Transport::Http1 => (Transport::Http1, callers),
            Transport::Http2 { .. } => channels(callers),
        };
        let load = Load {
            name,
            target: target.target.clone(),
            endpoints: Arc::clone(&target.endpoints),
            transport,
            wire: Arc::clone(&target.wire),
            questions: Arc::clone(&target.questions),
            arrivals,
            start: Duration::ZERO,
            warm_up,
            duration,
            max_requests: u64::MAX,
            connections,
            timeout: TIMEOUT,
            behaviour: Behaviour::Normal,
            slo: None,
            windows: Vec::new(),
        };
        let options = DriveOptions { threads: 1, seed: SEED, server_process: process };
        let runs = drive(&[load], &options, &mut |_| ControlFlow::Continue(()))?;
        Ok(runs.into_iter().next().ok_or("a drive of one load gives one run")?)
    }
}
