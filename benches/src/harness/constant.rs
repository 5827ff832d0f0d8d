//! A server that takes 20 ms for every request: is that what the harness measures?

use std::time::Duration;

use tidegate_loadtest::arrivals::Pattern;
use tidegate_loadtest::load::Arrivals;
use tidegate_loadtest::statistics::median;

use super::others::Post;
use super::scripted::{ANSWER_LENGTH, Script, Scripted};
use super::{BODY, doubts, exchange, ours};
use crate::Result;
use crate::output::{Table, figure, progress};

const SERVICE_MS: u64 = 20;
const RATE: f64 = 100.0;
/// So many never have to wait for each other at that rate and time.
const CONNECTIONS: usize = 32;

pub fn compare(rounds: usize, time: Duration) -> Result<String> {
    let script = Script { service_ms: SERVICE_MS, stall_ms: 0, period_ms: 1 };
    let server = Scripted::start(script)?;
    let exchange = exchange(ANSWER_LENGTH);
    let post = Post { address: server.address, body: BODY, connections: CONNECTIONS, time };
    let mut table = Table::new(
        &["arrivals"],
        &["requests", "p50 ms", "p50 / 20 ms", "p99 ms", "p99 / 20 ms", "doubts"],
    );
    let loops = [
        Arrivals::Closed { callers: 1 },
        Arrivals::Open(Pattern::Constant { rate: RATE }),
        Arrivals::Open(Pattern::Poisson { rate: RATE }),
    ];
    for arrivals in loops {
        progress(&format!("constant service time, {arrivals:?}"));
        let run = |_| ours(&exchange, &post, server.process_id(), arrivals.clone());
        let runs = (0..rounds).map(run).collect::<Result<Vec<_>>>()?;
        let p50 = median(runs.iter().map(|run| run.best_latency().p50_ms));
        let p99 = median(runs.iter().map(|run| run.best_latency().p99_ms));
        let requests: u64 = runs.iter().map(|run| run.requests).sum();
        table.row([
            runs.first().map_or_else(String::new, |run| run.arrivals.pattern.clone()),
            requests.to_string(),
            figure(p50),
            format!("{:.3}", p50 / SERVICE_MS as f64),
            figure(p99),
            format!("{:.3}", p99 / SERVICE_MS as f64),
            doubts(&runs),
        ]);
    }
    Ok(format!(
        "**Constant service time.** A server that answers {SERVICE_MS} ms after it has read a request; medians of {rounds} \
         rounds of {} s. Promised: p50 within 2 %.\n\n{}",
        time.as_secs(),
        table.into_markdown(),
    ))
}
