//! The figures as Markdown: what the callers saw, and what that is beside the baselines.

use std::time::Duration;

use super::measure::{Case, Round, Served};
use super::{INSTANCES, INTRA_OP_THREADS};
use crate::output::{Table, figure, grouped};
use crate::statistics::{Sorted, median};

pub fn markdown(cases: &[Case], rounds: usize, seconds: f64) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "Closed loop, {rounds} rounds; each loads every arm for {seconds} s, one after the other. {cores} \
         cores, which the client shares. ONNX Runtime {ort}, {INSTANCES} instances of {INTRA_OP_THREADS} \
         thread each, the gateway and the raw loop alike. Every answer was checked.\n\n\
         **Through the gateway.** Medians over the rounds; latencies over all samples. CPU is user and \
         system time of the gateway's process, the client's in cores.\n\n{gateway}\n\
         **Beside the baselines.** Raw: ONNX Runtime in a loop, one row at a time on at most as many \
         instances as there are callers, and in batches of as many rows as there are callers. Bare: a \
         hyper server that reads the same body and answers as many bytes. Ratios are medians of the \
         rounds' own ratios.\n\n{baselines}",
        ort = tidegate_backend_ort::PINNED_VERSION,
        gateway = through_the_gateway(cases),
        baselines = beside_the_baselines(cases),
    )
}

fn through_the_gateway(cases: &[Case]) -> String {
    let mut table = Table::new(
        &["model", "wire"],
        &[
            "callers",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "samples",
            "CPU µs/request",
            "requests per CPU-second",
            "client's cores",
            "rows/batch",
        ],
    );
    for case in cases {
        let latencies = all(case, |round| &round.gateway.load.latencies);
        let cpu = cpu_per_request(case, |round| &round.gateway);
        table.row([
            format!("{} {}", case.model, case.version),
            case.wire.to_owned(),
            case.callers.to_string(),
            figure(median_of(case, |round| round.gateway.per_second())),
            figure(millis(latencies.quantile(0.5))),
            figure(millis(latencies.quantile(0.99))),
            grouped(latencies.len() as i64),
            figure(cpu * 1e6),
            figure(cpu.recip()),
            format!("{:.2}", median_of(case, |round| clients_cores(&round.gateway))),
            format!("{:.2}", rows_per_batch(case)),
        ]);
    }
    table.into_markdown()
}

fn beside_the_baselines(cases: &[Case]) -> String {
    let mut table = Table::new(
        &["model"],
        &[
            "callers",
            "gateway requests/s",
            "raw single rows/s",
            "raw single p50 ms",
            "raw batched rows/s",
            "bare requests/s",
            "bare CPU µs/request",
            "gateway / raw single",
            "gateway / raw batched",
            "gateway / bare",
        ],
    );
    for case in cases {
        let single = all(case, |round| &round.raw_single.times);
        let ratio = |of: fn(&Round) -> f64| {
            format!("{:.3}", median_of(case, |round| round.gateway.per_second() / of(round)))
        };
        table.row([
            format!("{} {}", case.model, case.version),
            case.callers.to_string(),
            figure(median_of(case, |round| round.gateway.per_second())),
            figure(median_of(case, |round| round.raw_single.rows_per_second)),
            figure(millis(single.quantile(0.5))),
            figure(median_of(case, |round| round.raw_batched.rows_per_second)),
            figure(median_of(case, |round| round.bare.per_second())),
            figure(cpu_per_request(case, |round| &round.bare) * 1e6),
            ratio(|round| round.raw_single.rows_per_second),
            ratio(|round| round.raw_batched.rows_per_second),
            ratio(|round| round.bare.per_second()),
        ]);
    }
    table.into_markdown()
}

fn median_of(case: &Case, of: impl Fn(&Round) -> f64) -> f64 {
    median(case.rounds.iter().map(of))
}

fn all(case: &Case, of: impl Fn(&Round) -> &Vec<Duration>) -> Sorted {
    Sorted::new(case.rounds.iter().flat_map(|round| of(round).iter().copied()).collect())
}

/// Seconds of the server's CPU, over all rounds: the system counts them in hundredths.
fn cpu_per_request(case: &Case, of: impl Fn(&Round) -> &Served) -> f64 {
    let seconds: f64 = case.rounds.iter().map(|round| of(round).server_cpu.as_secs_f64()).sum();
    let requests: usize = case.rounds.iter().map(|round| of(round).requests()).sum();
    seconds / requests as f64
}

fn clients_cores(served: &Served) -> f64 {
    served.client_cpu.as_secs_f64() / served.load.wall.as_secs_f64()
}

fn rows_per_batch(case: &Case) -> f64 {
    let rows: f64 = case.rounds.iter().map(|round| round.executed.rows).sum();
    let batches: f64 = case.rounds.iter().map(|round| round.executed.batches).sum();
    rows / batches
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
