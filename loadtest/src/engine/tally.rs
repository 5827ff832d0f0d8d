//! What one generator thread records of one load, until it hands it over.
//!
//! A tally has one owner at a time: the thread fills it, once a second it is sent away whole and an empty one takes its
//! place. So nothing is shared, nothing is locked, and no sample waits for another thread.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::histogram::{Coarse, Recorded};
use crate::question::{Ending, Judged};

/// The recorded time of a load, as instants. What is due before it is warm-up.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub start: Instant,
    pub end: Instant,
}

impl Window {
    pub fn contains(&self, instant: Instant) -> bool {
        (self.start..self.end).contains(&instant)
    }

    fn second(&self, instant: Instant) -> u32 {
        u32::try_from(instant.saturating_duration_since(self.start).as_secs()).unwrap_or(u32::MAX)
    }
}

/// The instants of one request, all from the same clock.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it was meant to be sent. In a closed loop: when the caller turned to it.
    pub due: Instant,
    /// When the generator turned to it.
    pub turned: Instant,
    /// When a connection was free for it, if it had to wait for one.
    pub granted: Option<Instant>,
    /// When its task ran.
    pub began: Option<Instant>,
    /// When it was written.
    pub sent: Option<Instant>,
    pub ended: Instant,
}

/// One request's end.
pub struct Ended {
    pub times: Times,
    pub rows: usize,
    pub judged: Judged,
}

#[derive(Default)]
pub struct Tally {
    /// Became due since the last hand-over, warm-up included; likewise the next three.
    pub due: u64,
    pub ended: u64,
    pub right: u64,
    pub errors: u64,
    pub recorded: Recording,
    pub connections_opened: u64,
    pub resent: u64,
    pub most_in_flight: u64,
    pub last_ended: Option<Instant>,
}

/// Of the recorded time only.
#[derive(Default)]
pub struct Recording {
    pub endings: BTreeMap<Ending, EndingTally>,
    pub corrected: Recorded,
    pub uncorrected: Recorded,
    pub lateness: Recorded,
    pub wait: Recorded,
    pub queue: Recorded,
    pub execute: Recorded,
    /// Answers by the rows of their batch.
    pub batch_rows: BTreeMap<u32, u64>,
    /// Right answers, and their rows, that came within the recorded time, whenever they were due.
    pub arrived: u64,
    pub arrived_rows: u64,
    pub seconds: BTreeMap<u32, SecondTally>,
    /// Answers by the version that gave them.
    pub versions: BTreeMap<u64, u64>,
    /// One for each of the load's windows, or none as long as nothing was recorded in any.
    pub parts: Vec<PartTally>,
}

/// Of the requests that were due in one of the load's windows.
#[derive(Default)]
pub struct PartTally {
    pub endings: BTreeMap<Ending, EndingTally>,
    pub corrected: Recorded,
    pub versions: BTreeMap<u64, u64>,
}

#[derive(Default)]
pub struct EndingTally {
    pub latency: Recorded,
    pub example: Option<String>,
}

#[derive(Default)]
pub struct SecondTally {
    pub offered: u64,
    pub right: u64,
    pub errors: u64,
    pub answered: u64,
    pub latency: Coarse,
}

impl Tally {
    pub fn record(&mut self, ended: Ended, window: &Window, parts: &[Window]) {
        let Ended { times, rows, judged } = ended;
        let ending = judged.ending;
        self.ended += 1;
        self.last_ended = self.last_ended.max(Some(times.ended));
        self.right += u64::from(ending == Ending::Right);
        self.errors += u64::from(ending.is_error());
        if window.contains(times.ended) && !ending.is_lost() && ending != Ending::Abandoned {
            let second = self.recorded.seconds.entry(window.second(times.ended)).or_default();
            second.answered += 1;
            if ending == Ending::Right {
                self.recorded.arrived += 1;
                self.recorded.arrived_rows += rows as u64;
            }
        }
        if window.contains(times.due) {
            self.recorded.record_parts(&times, &judged, parts);
            self.recorded.record(&times, judged, window);
        }
    }
}

impl Tally {
    /// Of another thread, or of a later second.
    pub fn add(&mut self, other: Self) {
        self.due += other.due;
        self.ended += other.ended;
        self.right += other.right;
        self.errors += other.errors;
        self.recorded.add(other.recorded);
        self.connections_opened += other.connections_opened;
        self.resent += other.resent;
        self.most_in_flight = self.most_in_flight.max(other.most_in_flight);
        self.last_ended = self.last_ended.max(other.last_ended);
    }
}

impl Recording {
    fn record(&mut self, times: &Times, judged: Judged, window: &Window) {
        let corrected = times.ended - times.due;
        let second = self.seconds.entry(window.second(times.due)).or_default();
        second.offered += 1;
        second.errors += u64::from(judged.ending.is_error());
        if judged.ending == Ending::Right {
            second.right += 1;
            second.latency.record(corrected);
            self.corrected.record(corrected);
            if let Some(sent) = times.sent {
                self.uncorrected.record(times.ended - sent);
            }
        }
        if let Some(version) = judged.server.version {
            *self.versions.entry(version).or_default() += 1;
        }
        self.endings.entry(judged.ending).or_default().record(corrected, judged.detail);
        if let Some(began) = times.began {
            // A wait for a connection is the server's doing; what is before and after it is ours.
            let granted = times.granted.unwrap_or(times.turned);
            self.lateness.record((times.turned - times.due) + (began - granted));
        }
        if let Some(granted) = times.granted {
            self.wait.record(granted - times.turned);
        }
        if let Some(queue) = judged.server.queue {
            self.queue.record(queue);
        }
        if let Some(execute) = judged.server.execute {
            self.execute.record(execute);
        }
        if let Some(rows) = judged.server.batch_rows {
            *self.batch_rows.entry(rows).or_default() += 1;
        }
    }

    fn record_parts(&mut self, times: &Times, judged: &Judged, parts: &[Window]) {
        for (index, part) in parts.iter().enumerate() {
            if part.contains(times.due) {
                self.parts.resize_with(parts.len(), PartTally::default);
                self.parts[index].record(times.ended - times.due, judged);
            }
        }
    }

    pub fn add(&mut self, other: Self) {
        add_endings(&mut self.endings, other.endings);
        add_counts(&mut self.versions, other.versions);
        self.parts.resize_with(self.parts.len().max(other.parts.len()), PartTally::default);
        for (mine, part) in self.parts.iter_mut().zip(other.parts) {
            add_endings(&mut mine.endings, part.endings);
            mine.corrected.add(&part.corrected);
            add_counts(&mut mine.versions, part.versions);
        }
        self.corrected.add(&other.corrected);
        self.uncorrected.add(&other.uncorrected);
        self.lateness.add(&other.lateness);
        self.wait.add(&other.wait);
        self.queue.add(&other.queue);
        self.execute.add(&other.execute);
        add_counts(&mut self.batch_rows, other.batch_rows);
        self.arrived += other.arrived;
        self.arrived_rows += other.arrived_rows;
        for (second, tally) in other.seconds {
            let mine = self.seconds.entry(second).or_default();
            mine.offered += tally.offered;
            mine.right += tally.right;
            mine.errors += tally.errors;
            mine.answered += tally.answered;
            mine.latency.add(&tally.latency);
        }
    }
}

impl PartTally {
    fn record(&mut self, corrected: Duration, judged: &Judged) {
        if judged.ending == Ending::Right {
            self.corrected.record(corrected);
        }
        if let Some(version) = judged.server.version {
            *self.versions.entry(version).or_default() += 1;
        }
        // Its example is the run's: the first of all.
        self.endings.entry(judged.ending).or_default().record(corrected, None);
    }
}

impl EndingTally {
    fn record(&mut self, corrected: Duration, detail: Option<String>) {
        self.latency.record(corrected);
        if self.example.is_none() {
            self.example = detail;
        }
    }
}

fn add_endings(mine: &mut BTreeMap<Ending, EndingTally>, other: BTreeMap<Ending, EndingTally>) {
    for (ending, tally) in other {
        let mine = mine.entry(ending).or_default();
        mine.latency.add(&tally.latency);
        if mine.example.is_none() {
            mine.example = tally.example;
        }
    }
}

fn add_counts<K: Ord>(mine: &mut BTreeMap<K, u64>, other: BTreeMap<K, u64>) {
    for (key, count) in other {
        *mine.entry(key).or_default() += count;
    }
}
