//! Question: what does our queue cost over what it stands on, and over what one would write without
//! it, with one, two, four and eight producers?
//!
//! Hand-over (items of 64 bytes, nobody answers): `Arrivals`, which counts places and knows of a
//! sleeping leader, against crossbeam's `ArrayQueue` alone, which does neither; beside them crossbeam's
//! channel, tokio's mpsc, and a deque behind a mutex.
//!
//! Round trip (a request is handed over, batched and answered): `Queue::submit`, `Batcher::step` and
//! `scatter`, against tokio's mpsc that carries a oneshot, with `recv_many` for the batch.
//!
//! All arms of a round move the same number of items, one after the other; ratios are of one round.

mod hand_over;
mod round_trip;
mod uncontended;
pub(super) mod wait;

use std::num::NonZeroUsize;
use std::time::Duration;

use super::measure::Case;
use crate::output::{Table, figure};
use tidegate_loadtest::statistics::median;

/// Places in every queue; the gateway's default.
const CAPACITY: usize = 1024;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Items that each way of handing over moves in a round
    #[arg(long, default_value = "100000")]
    items: NonZeroUsize,
    /// Threads that put in, at most 32: more requests under way than places would not fit
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8",
          value_parser = clap::value_parser!(u16).range(1..=32))]
    producers: Vec<u16>,
}

/// One way of moving items: how long it took for so many producers with so many items each.
struct Arm {
    name: &'static str,
    run: fn(usize, usize) -> Duration,
}

const HAND_OVER: [Arm; 5] = [
    Arm { name: "ArrayQueue", run: hand_over::array_queue },
    Arm { name: "Arrivals", run: hand_over::arrivals },
    Arm { name: "crossbeam channel", run: hand_over::crossbeam_channel },
    Arm { name: "tokio mpsc", run: hand_over::tokio_mpsc },
    Arm { name: "Mutex<VecDeque>", run: hand_over::mutex_deque },
];

const ROUND_TRIP: [Arm; 2] = [
    Arm { name: "mpsc and oneshot", run: round_trip::mpsc_and_oneshot },
    Arm { name: "Queue and Batcher", run: round_trip::queue_and_batcher },
];

pub fn cases() -> Vec<Case> {
    vec![Case::new("one in, one out", uncontended::arms).counting(10_000)]
}

pub fn compare_all(options: &Options, rounds: usize) -> String {
    format!(
        "**Hand-over, contended.** Wall time of an item; one consumer.\n\n{}\n\
         **Round trip.** Wall time of a request; one consumer.\n\n{}",
        compare(options, rounds, &HAND_OVER),
        compare(options, rounds, &ROUND_TRIP),
    )
}

fn compare(options: &Options, rounds: usize, arms: &[Arm]) -> String {
    let mut table = Table::new(&["way"], &["producers", "ns", "ratio"]);
    for producers in options.producers.iter().copied().map(usize::from) {
        let each = options.items.get().div_ceil(producers);
        let moved = (each * producers) as f64;
        for arm in arms {
            (arm.run)(producers, each / 10 + 1);
        }
        let rounds: Vec<Vec<f64>> = (0..rounds)
            .map(|_| {
                let time = |arm: &Arm| (arm.run)(producers, each).as_secs_f64();
                arms.iter().map(time).collect()
            })
            .collect();
        for (index, arm) in arms.iter().enumerate() {
            let seconds = median(rounds.iter().map(|round| round[index]));
            let ratio = median(rounds.iter().map(|round| round[index] / round[0]));
            table.row([
                arm.name.to_owned(),
                producers.to_string(),
                figure(seconds / moved * 1e9),
                format!("{ratio:.2}"),
            ]);
        }
    }
    table.into_markdown()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_moves_all_items_and_ends() {
        for arm in HAND_OVER.iter().chain(&ROUND_TRIP) {
            for producers in [1, 3] {
                assert!((arm.run)(producers, 200) > Duration::ZERO, "{}", arm.name);
            }
        }
    }
}
