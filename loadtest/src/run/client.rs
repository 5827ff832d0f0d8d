//! How the generator goes about it: what `run` and the scenarios in the manner of MLPerf have in common.

use std::ops::ControlFlow;
use std::time::Duration;

use tidegate_configuration::parse_duration;

use crate::Failure;
use crate::engine::{DriveOptions, drive};
use crate::figures::{Progress, Run};
use crate::load::{Arrivals, Behaviour, Load};
use crate::target::{PreparedTarget, StatisticsReader};

/// A run is not for ever, whatever rate and duration are asked for.
const MOST_REQUESTS: u64 = 1_000_000_000;
const MOST_THREADS: u64 = 256;
const MOST_CONNECTIONS: u64 = 65_536;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Generator")]
pub struct Client {
    /// Sent and not recorded, at the head of each run
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration_or_zero)]
    pub warm_up: Duration,
    /// Requests at most, warm-up included
    #[arg(long, value_name = "COUNT", default_value_t = 10_000_000,
          value_parser = clap::value_parser!(u64).range(1..=MOST_REQUESTS))]
    pub max_requests: u64,
    /// Connections at most; a request that finds none free waits, and its wait counts
    #[arg(long, value_name = "COUNT", default_value_t = 256,
          value_parser = clap::value_parser!(u64).range(1..=MOST_CONNECTIONS))]
    pub connections: u64,
    /// Requests at once on one HTTP/2 connection (grpc:// targets)
    #[arg(long, value_name = "COUNT", default_value_t = 64,
          value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub streams: u64,
    /// From the intended send time to the last byte of the answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Generator threads
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=MOST_THREADS))]
    pub threads: u64,
    /// Of arrivals and payloads: the same seed sends the same requests at the same times
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Process id of a local server, whose CPU time is then measured
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
}

impl Client {
    pub fn streams(&self) -> usize {
        usize::try_from(self.streams).unwrap_or(usize::MAX)
    }

    pub fn load(
        &self,
        name: &str,
        target: &PreparedTarget,
        arrivals: Arrivals,
        duration: Duration,
    ) -> Load {
        Load {
            name: name.to_owned(),
            target: target.target.clone(),
            endpoints: target.endpoints.clone(),
            transport: target.transport,
            wire: target.wire.clone(),
            questions: target.questions.clone(),
            arrivals,
            start: Duration::ZERO,
            warm_up: self.warm_up,
            duration,
            max_requests: self.max_requests,
            connections: usize::try_from(self.connections).unwrap_or(usize::MAX),
            timeout: self.timeout,
            behaviour: Behaviour::Normal,
            slo: None,
            windows: Vec::new(),
        }
    }

    /// Drives one load, and reads what the server's own statistics say about the time.
    ///
    /// # Errors
    /// As [`drive`].
    pub fn drive(
        &self,
        load: Load,
        target: &PreparedTarget,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Run, Failure> {
        let options = DriveOptions {
            threads: usize::try_from(self.threads).unwrap_or(1),
            seed: self.seed,
            server_process: self.server_pid,
        };
        let before = target.statistics.as_ref().and_then(StatisticsReader::read);
        let mut run = drive(&[load], &options, watch)?.remove(0);
        let after = target.statistics.as_ref().and_then(StatisticsReader::read);
        run.server.statistics = before.zip(after).and_then(|(before, after)| after.since(&before));
        Ok(run)
    }
}

/// Zero needs no unit to be understood, and here it means something: no warm-up.
fn parse_duration_or_zero(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { parse_duration(text) }
}
