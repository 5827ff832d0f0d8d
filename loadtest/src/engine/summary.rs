//! From what was collected to the figures of a report.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::collection::Collected;
use super::validity::{self, Evidence};
use crate::figures::{
    ArrivalFigures, EndingFigures, GeneratorFigures, Goodput, Latency, Run, Second, ServerFigures,
    WindowFigures,
};
use crate::histogram::Recorded;
use crate::load::{Arrivals, Load};
use crate::question::Ending;

use super::tally::{EndingTally, PartTally, SecondTally};

/// Seconds. A run that was over at once has rates all the same.
const SHORTEST: f64 = 1e-6;

/// What is known of the drive as a whole.
pub struct Drive {
    /// Each generator thread's share of a core.
    pub shares: Vec<f64>,
    pub server_cpu: Option<Duration>,
    pub interrupted: bool,
    pub seed: u64,
}

pub fn run(index: usize, load: &Load, collected: Collected, drive: &Drive) -> Run {
    let total = collected.total;
    let recorded = total.recorded;
    let ended_early = drive.interrupted || total.due >= load.max_requests;
    let duration = if ended_early { collected.lasted.min(load.duration) } else { load.duration };
    let seconds = duration.as_secs_f64().max(SHORTEST);
    let requests = recorded.endings.values().map(|tally| tally.latency.len()).sum();
    let open = matches!(load.arrivals, Arrivals::Open(_));
    let arrivals = arrivals(load, requests, seconds);
    let corrected = recorded.corrected;
    let goodput = load.slo.map(|slo| goodput(slo, &corrected, requests, seconds));
    let latency = open.then(|| Latency::of(corrected));
    let latency_uncorrected = Latency::of(recorded.uncorrected);
    let generator = GeneratorFigures {
        threads: drive.shares.len(),
        connections_opened: total.connections_opened,
        resent: total.resent,
        cpu_cores: drive.shares.iter().sum(),
        busiest_thread: drive.shares.iter().copied().fold(0.0, f64::max),
        lateness: open.then(|| Latency::of(recorded.lateness)),
        waited: recorded.wait.len(),
        wait: some(recorded.wait),
        most_in_flight: total.most_in_flight,
    };
    let validity = validity::judge(&Evidence {
        generator: &generator,
        latency: latency.as_ref().unwrap_or(&latency_uncorrected),
        requests,
        scheduled: scheduled(index, load, drive.seed),
        turned_to: total.due,
        interrupted: drive.interrupted,
    });
    let right = recorded.endings.get(&Ending::Right).map_or(0, |tally| tally.latency.len());
    let server = ServerFigures {
        mean_batch_rows: mean_batch_rows(&recorded.batch_rows),
        batch_rows: recorded.batch_rows,
        versions: recorded.versions,
        queue: some(recorded.queue),
        execute: some(recorded.execute),
        statistics: None,
        cpu_s: drive.server_cpu.map(|cpu| cpu.as_secs_f64()),
        cpu_us_per_request: drive
            .server_cpu
            .filter(|_| right > 0)
            .map(|cpu| cpu.as_secs_f64() * 1e6 / right as f64),
    };
    Run {
        name: load.name.clone(),
        target: load.target.clone(),
        repeat: 0,
        start_s: load.start.as_secs_f64(),
        arrivals,
        duration_s: seconds,
        warm_up_s: load.warm_up.as_secs_f64(),
        requests,
        throughput: recorded.arrived as f64 / seconds,
        rows_throughput: recorded.arrived_rows as f64 / seconds,
        goodput,
        latency,
        latency_uncorrected,
        endings: endings(recorded.endings),
        server,
        generator,
        validity,
        series: series(recorded.seconds, duration),
        windows: windows(load, recorded.parts),
    }
}

fn endings(tallies: BTreeMap<Ending, EndingTally>) -> BTreeMap<Ending, EndingFigures> {
    let figures = |EndingTally { latency, example }| EndingFigures {
        count: latency.len(),
        p50_ms: latency.ms(0.5),
        p99_ms: latency.ms(0.99),
        max_ms: latency.max_ms(),
        example,
    };
    tallies.into_iter().map(|(ending, tally)| (ending, figures(tally))).collect()
}

/// One for each window of the load, also where nothing was due in it.
fn windows(load: &Load, mut parts: Vec<PartTally>) -> Vec<WindowFigures> {
    parts.resize_with(load.windows.len(), PartTally::default);
    let figures = |(window, part): (&Range<Duration>, PartTally)| {
        let requests = part.endings.values().map(|tally| tally.latency.len()).sum();
        let seconds = window.end.saturating_sub(window.start).as_secs_f64();
        WindowFigures {
            from_s: window.start.as_secs_f64(),
            to_s: window.end.as_secs_f64(),
            requests,
            goodput: load.slo.map(|slo| goodput(slo, &part.corrected, requests, seconds)),
            latency: Latency::of(part.corrected),
            endings: endings(part.endings),
            versions: part.versions,
        }
    };
    load.windows.iter().zip(parts).map(figures).collect()
}

fn arrivals(load: &Load, requests: u64, seconds: f64) -> ArrivalFigures {
    match &load.arrivals {
        Arrivals::Open(pattern) => ArrivalFigures {
            loop_kind: "open".to_owned(),
            pattern: pattern.to_string(),
            offered_rate: Some(requests as f64 / seconds),
            callers: None,
        },
        Arrivals::Closed { callers } => ArrivalFigures {
            loop_kind: "closed".to_owned(),
            pattern: format!("closed:{callers}"),
            offered_rate: None,
            callers: Some(*callers),
        },
    }
}

/// Requests that the schedule has in the whole load.
fn scheduled(index: usize, load: &Load, seed: u64) -> Option<u64> {
    let Arrivals::Open(pattern) = &load.arrivals else { return None };
    let length = load.warm_up + load.duration;
    let most = usize::try_from(load.max_requests).unwrap_or(usize::MAX);
    let schedule = pattern.schedule(seed.wrapping_add(index as u64), length);
    Some(schedule.take(most).count() as u64)
}

fn goodput(slo: Duration, latency: &Recorded, requests: u64, seconds: f64) -> Goodput {
    let good = latency.count_within(slo) as f64;
    Goodput {
        slo_ms: slo.as_secs_f64() * 1e3,
        rate: good / seconds,
        share: if requests > 0 { good / requests as f64 } else { 0.0 },
    }
}

/// Every request of a batch tells the batch's size, so a batch of ten is told ten times.
fn mean_batch_rows(answers: &BTreeMap<u32, u64>) -> Option<f64> {
    let answered: u64 = answers.values().sum();
    let batches: f64 = answers.iter().map(|(rows, n)| *n as f64 / f64::from((*rows).max(1))).sum();
    (answered > 0).then(|| answered as f64 / batches)
}

fn series(mut seconds: BTreeMap<u32, SecondTally>, duration: Duration) -> Vec<Second> {
    let length = u32::try_from(duration.as_secs_f64().ceil() as u64).unwrap_or(u32::MAX);
    let last = seconds.keys().next_back().map_or(0, |second| second.saturating_add(1));
    (0..length.min(last))
        .map(|second| {
            let tally = seconds.remove(&second).unwrap_or_default();
            Second {
                second,
                offered: tally.offered,
                right: tally.right,
                errors: tally.errors,
                answered: tally.answered,
                p50_ms: tally.latency.ms(0.5),
                p99_ms: tally.latency.ms(0.99),
                max_ms: tally.latency.max_ms(),
            }
        })
        .collect()
}

fn some(histogram: Recorded) -> Option<Latency> {
    (!histogram.is_empty()).then(|| Latency::of(histogram))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_once_however_many_answers_tell_of_it() {
        // Two batches of ten and ten of one: twelve batches, thirty rows.
        let answers = BTreeMap::from([(10, 20), (1, 10)]);
        assert_eq!(mean_batch_rows(&answers), Some(2.5));
        assert_eq!(mean_batch_rows(&BTreeMap::new()), None);
    }
}
