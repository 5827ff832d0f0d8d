//! CPU time of a local server: its process and all that descend from it.
//!
//! Read from /proc, so only on Linux; elsewhere there is none. Children that have ended count with their parent,
//! as the system counts them.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// The unit of times in /proc, the same on every Linux whatever its timer's rate.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time so far; none if there is no such process.
pub fn of_process_tree(root: u32) -> Option<Duration> {
    let stats: HashMap<u32, Stat> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process| {
            let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            Some((process, Stat::parse(&text)?))
        })
        .collect();
    stats.get(&root)?;
    let ticks: u64 = stats
        .iter()
        .filter(|(process, _)| descends(**process, root, &stats))
        .map(|(_, stat)| stat.ticks)
        .sum();
    Some(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}

fn descends(mut process: u32, root: u32, stats: &HashMap<u32, Stat>) -> bool {
    // A bound, because what was read at different times might contain a circle.
    for _ in 0..stats.len() {
        if process == root {
            return true;
        }
        match stats.get(&process) {
            Some(stat) => process = stat.parent,
            None => return false,
        }
    }
    false
}

#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The name, in brackets, may contain anything. After it: state, parent, and from the 12th on utime, stime,
        // cutime and cstime.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok());
        Some(Self { parent: fields.get(1)?.parse().ok()?, ticks: ticks.sum::<Option<u64>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 150 50 20 5 20 0 1 0 9 9 9";
        assert_eq!(Stat::parse(stat), Some(Stat { parent: 3, ticks: 225 }));
        assert_eq!(Stat::parse("7 (a) S"), None);
    }

    #[test]
    fn a_tree_is_the_root_and_what_descends_from_it() {
        let stats = [(1, 0), (5, 1), (6, 5), (7, 6), (8, 1), (9, 9)];
        let stats = stats.map(|(process, parent)| (process, Stat { parent, ticks: 1 }));
        let stats = HashMap::from(stats);
        let of = |root| stats.keys().filter(|process| descends(**process, root, &stats)).count();
        assert_eq!((of(5), of(7), of(1)), (3, 1, 5));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_time_and_an_absent_one_has_none() {
        assert!(of_process_tree(std::process::id()).is_some());
        assert_eq!(of_process_tree(u32::MAX), None);
    }
}
