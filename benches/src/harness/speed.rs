//! How many tiny requests one thread of a generator drives: ours beside wrk and oha, against the same bare server of one
//! thread, in turn. And whether ours keeps its schedule at the rate that it promises.

use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_loadtest::arrivals::Pattern;
use tidegate_loadtest::ceiling::bare::{Bare, Protocol};
use tidegate_loadtest::load::Arrivals;
use tidegate_loadtest::statistics::median;

use super::others::{Post, Told, oha, wrk};
use super::{ANSWER, BODY, Others, doubts, exchange, ours};
use crate::Result;
use crate::output::{Table, figure, progress};

const CALLERS: usize = 32;
/// Requests/s that one core of the generator promises.
const PROMISED: f64 = 30_000.0;

pub fn compare(others: &Others, rounds: usize, time: Duration) -> Result<String> {
    let program = std::env::current_exe()?;
    let bare = Bare::start(&program, Protocol::Http, &ANSWER, NonZeroUsize::MIN)?;
    let exchange = exchange(ANSWER.len());
    let post = Post { address: bare.address, body: BODY, connections: CALLERS, time };
    let (mut closed, mut open) = (Vec::new(), Vec::new());
    let (mut of_wrk, mut of_oha) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        progress(&format!("speed, round {} of {rounds}", round + 1));
        let callers = Arrivals::Closed { callers: CALLERS };
        closed.push(ours(&exchange, &post, bare.process_id(), callers)?);
        if let Some(program) = &others.wrk {
            of_wrk.push(wrk(program, &post)?);
        }
        if let Some(program) = &others.oha {
            of_oha.push(oha(program, &post, None)?);
        }
        let schedule = Arrivals::Open(Pattern::Constant { rate: PROMISED });
        open.push(ours(&exchange, &post, bare.process_id(), schedule)?);
    }
    let told: Vec<Told> = closed.iter().map(of_ours).collect();
    let mut table = Table::new(
        &["generator"],
        &[
            "requests/s",
            "p50 ms",
            "p99 ms",
            "cores used",
            "requests/core-second",
            "ours / it",
            "errors",
        ],
    );
    for (name, rounds) in [("ours", &told), ("wrk", &of_wrk), ("oha", &of_oha)] {
        if !rounds.is_empty() {
            table.row(row(name, rounds, &told));
        }
    }
    let of_open = |of: fn(&tidegate_loadtest::figures::Run) -> f64| median(open.iter().map(of));
    Ok(format!(
        "**Speed.** One thread of each generator, {CALLERS} callers in a closed loop, a bare hyper server of one thread; \
         medians of {rounds} rounds of {seconds} s, interleaved.\n\n{table}{skipped}\n\
         Open loop at the promised {promised}/s on one thread: {done}/s were answered rightly, late by {late50} ms at p50 and \
         {late99} ms at p99 at most in half of the rounds, {cores:.2} cores; doubts: {doubts}.\n",
        seconds = time.as_secs(),
        table = table.into_markdown(),
        skipped = others.skipped(),
        promised = figure(PROMISED),
        done = figure(of_open(|run| run.throughput)),
        late50 = figure(of_open(|run| late(run, 0.5))),
        late99 = figure(of_open(|run| late(run, 0.99))),
        cores = of_open(|run| run.generator.cpu_cores),
        doubts = doubts(&open),
    ))
}

fn late(run: &tidegate_loadtest::figures::Run, quantile: f64) -> f64 {
    run.generator.lateness.as_ref().map_or(0.0, |lateness| lateness.histogram.ms(quantile))
}

fn of_ours(run: &tidegate_loadtest::figures::Run) -> Told {
    Told {
        requests_per_second: run.throughput,
        p50_ms: run.latency_uncorrected.p50_ms,
        p99_ms: run.latency_uncorrected.p99_ms,
        errors: run.errors(),
        cores: run.generator.cpu_cores,
    }
}

fn row(name: &str, rounds: &[Told], ours: &[Told]) -> [String; 8] {
    let of = |of: fn(&Told) -> f64| median(rounds.iter().map(of));
    let ratios = ours.iter().zip(rounds);
    let ratio = median(ratios.map(|(ours, it)| ours.requests_per_second / it.requests_per_second));
    [
        name.to_owned(),
        figure(of(|told| told.requests_per_second)),
        figure(of(|told| told.p50_ms)),
        figure(of(|told| told.p99_ms)),
        format!("{:.2}", of(|told| told.cores)),
        figure(of(|told| told.requests_per_second / told.cores)),
        format!("{ratio:.2}"),
        rounds.iter().map(|told| told.errors).sum::<u64>().to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_each_round() {
        let told = |requests_per_second| Told {
            requests_per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
            errors: 1,
            cores: 0.5,
        };
        let ours = [told(100.0), told(10.0), told(90.0)];
        let its = [told(50.0), told(5.0), told(100.0)];
        let row = row("it", &its, &ours);
        assert_eq!(row, ["it", "50.0", "1.00", "2.00", "0.50", "100", "2.00", "3"]);
    }
}
