//! A server that answers nothing for one second in ten: who sees it?
//!
//! Connections are few: a closed loop notices a stall once on each of them, so that of thousands of latencies a handful are
//! long, while a tenth of all requests that were due had to wait. wrk asks in a closed loop, and since version 4 adds samples
//! that it never took, one for each of its mean intervals in a long answer; what a closed loop alone sees is our own row.

use std::time::Duration;

use tidegate_loadtest::arrivals::Pattern;
use tidegate_loadtest::load::Arrivals;

use super::others::{Post, Told, oha, wrk};
use super::scripted::{ANSWER_LENGTH, Script, Scripted};
use super::{BODY, Others, doubts, exchange, ours};
use crate::Result;
use crate::output::{Table, figure, progress};

const SCRIPT: Script = Script { service_ms: 2, stall_ms: 1_000, period_ms: 10_000 };
const RATE: f64 = 200.0;
const CONNECTIONS: usize = 8;

pub fn compare(others: &Others, time: Duration) -> Result<String> {
    let server = Scripted::start(SCRIPT)?;
    let exchange = exchange(ANSWER_LENGTH);
    let post = Post { address: server.address, body: BODY, connections: CONNECTIONS, time };
    progress("stall, ours");
    let schedule = Arrivals::Open(Pattern::Constant { rate: RATE });
    let run = ours(&exchange, &post, server.process_id(), schedule)?;
    progress("stall, ours in a closed loop");
    let callers = Arrivals::Closed { callers: CONNECTIONS };
    let closed = ours(&exchange, &post, server.process_id(), callers)?;
    let mut table = Table::new(&["generator"], &["requests/s", "p50 ms", "p99 ms"]);
    let mut row = |name: &str, rate: f64, p50: f64, p99: f64| {
        table.row([name.to_owned(), figure(rate), figure(p50), figure(p99)]);
    };
    let (best, plain) = (run.best_latency(), &run.latency_uncorrected);
    row("ours, corrected", run.throughput, best.p50_ms, best.p99_ms);
    row("ours, uncorrected", run.throughput, plain.p50_ms, plain.p99_ms);
    let plain = &closed.latency_uncorrected;
    row("ours, closed loop", closed.throughput, plain.p50_ms, plain.p99_ms);
    let mut other = |name: &str, told: &Told| {
        row(name, told.requests_per_second, told.p50_ms, told.p99_ms);
    };
    if let Some(program) = &others.oha {
        progress("stall, oha");
        other("oha -q, latency corrected", &oha(program, &post, Some(RATE))?);
    }
    if let Some(program) = &others.wrk {
        progress("stall, wrk");
        other("wrk, closed loop, corrected by its mean interval", &wrk(program, &post)?);
    }
    Ok(format!(
        "**A stall.** A server that takes 2 ms, and answers nothing for 1 s in every 10; {} s at {RATE}/s over \
         {CONNECTIONS} connections. A tenth of the requests fall due within a stall, so the true p99 is about 900 ms. Doubts of \
         ours: {}.\n\n{}{}",
        time.as_secs(),
        doubts([&run]),
        table.into_markdown(),
        others.skipped(),
    ))
}
