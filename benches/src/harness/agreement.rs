//! The same rate by ours and by oha with its own correction: do they see the same latencies?

use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_loadtest::arrivals::Pattern;
use tidegate_loadtest::ceiling::bare::{Bare, Protocol};
use tidegate_loadtest::load::Arrivals;
use tidegate_loadtest::statistics::median;

use super::others::{Post, oha};
use super::scripted::{ANSWER_LENGTH, Script, Scripted};
use super::{ANSWER, BODY, Others, doubts, exchange, ours};
use crate::Result;
use crate::output::{Table, figure, progress};

const CONNECTIONS: usize = 32;

/// A server, and rates that it carries with ease.
struct Case<'a> {
    server: &'a str,
    post: Post<'a>,
    process: u32,
    answer_length: usize,
    rates: &'a [f64],
}

pub fn compare(others: &Others, rounds: usize, time: Duration) -> Result<String> {
    let program = std::env::current_exe()?;
    let bare = Bare::start(&program, Protocol::Http, &ANSWER, NonZeroUsize::MIN)?;
    let scripted = Scripted::start(Script { service_ms: 5, stall_ms: 0, period_ms: 1 })?;
    let post = |address| Post { address, body: BODY, connections: CONNECTIONS, time };
    let mut table = Table::new(
        &["server"],
        &[
            "rate/s",
            "ours p50 ms",
            "oha p50 ms",
            "ours / oha",
            "ours p99 ms",
            "oha p99 ms",
            "ours / oha",
            "doubts",
        ],
    );
    let cases = [
        Case {
            server: "bare hyper",
            post: post(bare.address),
            process: bare.process_id(),
            answer_length: ANSWER.len(),
            rates: &[1_000.0, 5_000.0],
        },
        Case {
            server: "5 ms for each",
            post: post(scripted.address),
            process: scripted.process_id(),
            answer_length: ANSWER_LENGTH,
            rates: &[500.0],
        },
    ];
    if let Some(oha) = &others.oha {
        for case in &cases {
            for &rate in case.rates {
                progress(&format!("agreement, {} at {rate}/s", case.server));
                table.row(measure(case, rate, oha, rounds)?);
            }
        }
    }
    Ok(format!(
        "**Agreement.** Evenly spaced requests at one rate over {CONNECTIONS} connections, by ours and by `oha \
         --latency-correction -q RATE`, both from the intended time; medians of {rounds} rounds of {} s, interleaved.\n\n{}{}",
        time.as_secs(),
        table.into_markdown(),
        if others.oha.is_none() { "\nSkipped: oha, not found in PATH.\n" } else { "" },
    ))
}

fn measure(
    case: &Case<'_>,
    rate: f64,
    program: &super::others::Program,
    rounds: usize,
) -> Result<[String; 9]> {
    let exchange = exchange(case.answer_length);
    let (mut mine, mut its) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let schedule = Arrivals::Open(Pattern::Constant { rate });
        mine.push(ours(&exchange, &case.post, case.process, schedule)?);
        its.push(oha(program, &case.post, Some(rate))?);
    }
    let pairs = || mine.iter().zip(&its);
    let (p50, p99) = (
        median(mine.iter().map(|run| run.best_latency().p50_ms)),
        median(mine.iter().map(|run| run.best_latency().p99_ms)),
    );
    Ok([
        case.server.to_owned(),
        figure(rate),
        figure(p50),
        figure(median(its.iter().map(|told| told.p50_ms))),
        format!(
            "{:.2}",
            median(pairs().map(|(run, told)| run.best_latency().p50_ms / told.p50_ms))
        ),
        figure(p99),
        figure(median(its.iter().map(|told| told.p99_ms))),
        format!(
            "{:.2}",
            median(pairs().map(|(run, told)| run.best_latency().p99_ms / told.p99_ms))
        ),
        doubts(&mine),
    ])
}
