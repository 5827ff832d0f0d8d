//! Runs that nobody drove, for the tests of what is concluded from runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::figures::{
    ArrivalFigures, EndingFigures, GeneratorFigures, Latency, Machine, Report, Run, SCHEMA, Second,
    ServerFigures, Tool, Validity,
};
use crate::histogram::Recorded;
use crate::question::Ending;

/// A valid open-loop run of these latencies, in milliseconds.
pub fn run(rate: f64, duration_s: f64, latencies_ms: &[f64]) -> Run {
    let mut histogram = Recorded::default();
    for ms in latencies_ms {
        histogram.record(Duration::from_secs_f64(ms.max(0.0) / 1e3));
    }
    let requests = latencies_ms.len() as u64;
    let latency = Latency::of(histogram);
    Run {
        name: "load".to_owned(),
        target: "http://127.0.0.1:1/v2/models/m".to_owned(),
        repeat: 0,
        start_s: 0.0,
        arrivals: ArrivalFigures {
            loop_kind: "open".to_owned(),
            pattern: format!("poisson:{rate}"),
            offered_rate: Some(rate),
            callers: None,
        },
        duration_s,
        warm_up_s: 0.0,
        requests,
        throughput: requests as f64 / duration_s,
        rows_throughput: requests as f64 / duration_s,
        goodput: None,
        latency: Some(latency.clone()),
        latency_uncorrected: latency,
        endings: BTreeMap::from([(Ending::Right, ending(requests))]),
        server: ServerFigures::default(),
        generator: GeneratorFigures {
            threads: 1,
            connections_opened: 1,
            resent: 0,
            cpu_cores: 0.1,
            busiest_thread: 0.1,
            lateness: None,
            waited: 0,
            wait: None,
            most_in_flight: 1,
        },
        validity: Validity { valid: true, ..Validity::default() },
        series: Vec::new(),
        windows: Vec::new(),
    }
}

pub fn ending(count: u64) -> EndingFigures {
    EndingFigures { count, p50_ms: 0.0, p99_ms: 0.0, max_ms: 0.0, example: None }
}

pub fn second(second: u32, right: u64, p50_ms: f64, p99_ms: f64) -> Second {
    Second {
        second,
        offered: right,
        right,
        errors: 0,
        answered: right,
        p50_ms: Some(p50_ms),
        p99_ms: Some(p99_ms),
        max_ms: Some(p99_ms),
    }
}

pub fn report(runs: Vec<Run>) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        tool: Tool { name: "tidegate-loadtest".to_owned(), version: "0".to_owned() },
        machine: Machine {
            system: "Linux".to_owned(),
            processor: "a processor".to_owned(),
            cores: 2,
            memory_bytes: 1 << 30,
        },
        started: "2026-01-01T00:00:00Z".to_owned(),
        command: Vec::new(),
        seed: 1,
        runs,
        search: None,
        scenario: None,
    }
}
