//! What the machine's processors and memory are doing, in Triton's `nv_cpu_` metrics. Read from `/proc` at every
//! scrape, and nowhere else; on a system that has no such files these metrics do not exist.
//!
//! It is the whole machine that is told of, as Triton does it, and not this process or its container.

use std::fs;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::families::SecondsGauge;

const STAT: &str = "/proc/stat";
const MEMINFO: &str = "/proc/meminfo";

#[derive(Debug)]
pub struct Machine {
    /// As of the last scrape.
    before: Mutex<Ticks>,
    utilization: SecondsGauge,
    memory_total: Gauge,
    memory_used: Gauge,
}

/// Of all processors together, since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    all: u64,
    idle: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    total: u64,
    available: u64,
}

impl Machine {
    /// `None` where it cannot be looked at.
    pub fn look(registry: &mut Registry) -> Option<Self> {
        let before = Ticks::read(&fs::read_to_string(STAT).ok()?)?;
        Memory::read(&fs::read_to_string(MEMINFO).ok()?)?;
        let machine = Self {
            before: Mutex::new(before),
            utilization: SecondsGauge::default(),
            memory_total: Gauge::default(),
            memory_used: Gauge::default(),
        };
        machine.register(registry);
        Some(machine)
    }

    fn register(&self, registry: &mut Registry) {
        let share = "Share of the machine's processor time that was used since the last scrape";
        registry.register("nv_cpu_utilization", share, self.utilization.clone());
        let total = "Memory of the machine in bytes";
        registry.register("nv_cpu_memory_total_bytes", total, self.memory_total.clone());
        let used = "Memory of the machine that is in use, in bytes";
        registry.register("nv_cpu_memory_used_bytes", used, self.memory_used.clone());
    }

    /// A file that cannot be read this time leaves the numbers as they were.
    pub fn refresh(&self) {
        if let Some(now) = fs::read_to_string(STAT).ok().and_then(|text| Ticks::read(&text)) {
            let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(share) = now.used_since(*before) {
                self.utilization.set(share);
                *before = now;
            }
        }
        if let Some(memory) = fs::read_to_string(MEMINFO).ok().and_then(|text| Memory::read(&text))
        {
            let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            self.memory_total.set(gauge(memory.total));
            self.memory_used.set(gauge(memory.total.saturating_sub(memory.available)));
        }
    }
}

impl Ticks {
    /// Of the line `cpu  user nice system idle iowait irq softirq steal guest guest_nice`. Guests are counted among
    /// the users already.
    fn read(stat: &str) -> Option<Self> {
        let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> =
            all.split_ascii_whitespace().take(8).map_while(|ticks| ticks.parse().ok()).collect();
        let (idle, waiting) = (ticks.get(3)?, ticks.get(4).unwrap_or(&0));
        let all = ticks.iter().fold(0_u64, |sum, ticks| sum.saturating_add(*ticks));
        Some(Self { all, idle: idle.saturating_add(*waiting) })
    }

    /// `None` when no tick has passed. The kernel's count of waiting may fall a little.
    fn used_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        let idle = self.idle.saturating_sub(before.idle).min(all);
        Some((all - idle) as f64 / all as f64)
    }
}

impl Memory {
    fn read(meminfo: &str) -> Option<Self> {
        let field = |name: &str| {
            let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            rest?.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { total: field("MemTotal")?, available: field("MemAvailable")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilization_is_what_was_not_idle_between_two_looks() {
        let stat = |user: u64, idle: u64, waiting: u64| {
            format!("cpu  {user} 0 10 {idle} {waiting} 0 0 0 7 7\ncpu0 1 2 3 4\nintr 5\n")
        };
        let before = Ticks::read(&stat(100, 1000, 50)).unwrap();
        assert_eq!(before, Ticks { all: 1160, idle: 1050 });
        let after = Ticks::read(&stat(130, 1060, 60)).unwrap();
        assert_eq!(after.used_since(before), Some(0.3));
        assert_eq!(after.used_since(after), None);
        assert_eq!(before.used_since(after), None);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let text = "MemTotal:        2048 kB\nMemFree:  1 kB\nMemAvailable:    512 kB\n";
        assert_eq!(Memory::read(text), Some(Memory { total: 2 << 20, available: 512 << 10 }));
    }

    #[test]
    fn what_is_not_understood_is_no_number() {
        assert_eq!(Ticks::read("cpu0 1 2 3 4\n"), None);
        assert_eq!(Ticks::read("cpu  1 2 x\n"), None);
        assert_eq!(Memory::read("MemTotal: 1 kB\n"), None);
        assert_eq!(Memory::read("MemTotal: many kB\nMemAvailable: 1 kB\n"), None);
    }
}
