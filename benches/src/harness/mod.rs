//! Question: does the load-test harness tell the truth, and is it fast enough to be believed?
//!
//! Baselines: servers whose latencies are known because they are scripted, and other generators (wrk, oha) that do the
//! same in the same run. The harness's tests hold it to the truth in made-up time; here it is real time, on a machine that
//! others share, so nothing is asserted: figures and ratios are printed.

mod agreement;
mod constant;
mod others;
pub mod scripted;
mod speed;
mod stall;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use tidegate_loadtest::ceiling::echo::{Exchange, OfLength};
use tidegate_loadtest::engine::{DriveOptions, drive};
use tidegate_loadtest::figures::Run;
use tidegate_loadtest::load::{Arrivals, Behaviour, Endpoint, Load, Transport};
use tidegate_loadtest::question::{Prepared, Question};

use crate::Result;
use crate::output::Output;
use others::{Post, Program};

/// As long as a small V2 request, and as a small answer.
const BODY: &str = r#"{"inputs":[{"name":"x","shape":[1,16],"datatype":"FP32","data":[0.5,0.25,0.5,0.25,0.5,0.25,0.5,0.25,0.5,0.25,0.5,0.25,0.5,0.25,0.5,0.25]}]}"#;
const ANSWER: [u8; 128] = [b' '; 128];

#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long each generator runs in a round; whole seconds, because the others know no parts of them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds; each lets every generator run once
    #[arg(long, default_value = "5")]
    rounds: NonZeroUsize,
    /// How long the server that stalls is loaded, by each generator: at least two of its periods
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(20..=600))]
    stall_seconds: u64,
    #[command(flatten)]
    output: Output,
}

/// What is run beside ours.
struct Others {
    wrk: Option<Program>,
    oha: Option<Program>,
}

pub fn run(options: &Options) -> Result<()> {
    let others = Others { wrk: Program::find("wrk"), oha: Program::find("oha") };
    let time = Duration::from_secs(options.seconds);
    let rounds = options.rounds.get();
    let stall = Duration::from_secs(options.stall_seconds);
    let markdown = [
        speed::compare(&others, rounds, time)?,
        constant::compare(rounds, time)?,
        stall::compare(&others, stall)?,
        agreement::compare(&others, rounds, time)?,
    ];
    options.output.write(&markdown.join("\n"))
}

impl Others {
    /// A line for each that is not here.
    fn skipped(&self) -> String {
        let line = |name: &str, program: &Option<Program>| match program {
            Some(_) => String::new(),
            None => format!("\nSkipped: {name}, not found in PATH.\n"),
        };
        line("wrk", &self.wrk) + &line("oha", &self.oha)
    }
}

/// Ours, with one thread.
fn ours(exchange: &Exchange, post: &Post<'_>, process: u32, arrivals: Arrivals) -> Result<Run> {
    let load = Load {
        name: "ours".to_owned(),
        target: format!("http://{}/", post.address),
        endpoints: Arc::new([Endpoint::tcp(post.address)]),
        transport: Transport::Http1,
        wire: Arc::clone(&exchange.wire),
        questions: Arc::new([exchange.question.clone()]),
        arrivals,
        start: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration: post.time,
        max_requests: u64::MAX,
        connections: post.connections,
        timeout: Duration::from_secs(10),
        behaviour: Behaviour::Normal,
        slo: None,
        windows: Vec::new(),
    };
    let options = DriveOptions { threads: 1, seed: 1, server_process: Some(process) };
    let runs = drive(&[load], &options, &mut |_| ControlFlow::Continue(()))?;
    Ok(runs.into_iter().next().ok_or("a drive of one load gives one run")?)
}

fn exchange(answer_length: usize) -> Exchange {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = Bytes::from_static(BODY.as_bytes());
    let request = Prepared { path: "/".to_owned(), headers, body };
    let question = Question { request, rows: 1, expected: None };
    Exchange { question, wire: Arc::new(OfLength(answer_length)) }
}

/// Where a run is not to be believed, why.
fn doubts<'a>(runs: impl IntoIterator<Item = &'a Run>) -> String {
    let reasons = runs.into_iter().flat_map(|run| run.validity.reasons.iter().cloned());
    let mut reasons: Vec<String> = reasons.collect();
    reasons.dedup();
    reasons.truncate(1);
    reasons.pop().map_or_else(|| "-".to_owned(), |reason| format!("INVALID: {reason}"))
}
