//! Where it ran: the few facts without which a figure means nothing. What the system does not tell is left as `unknown` or 0.

use std::fs;

use crate::figures::Machine;

/// This machine, as far as the system tells without asking for rights.
pub fn machine() -> Machine {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Machine {
        system: format!("{} {} {}", std::env::consts::OS, release.trim(), std::env::consts::ARCH)
            .replace("  ", " "),
        processor: processor(&processors).unwrap_or("unknown").to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_bytes: memory_bytes(&memory).unwrap_or(0),
    }
}

fn processor(cpuinfo: &str) -> Option<&str> {
    field(cpuinfo, "model name")
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal")?.strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_the_first_that_is_named() {
        let text = "processor\t: 0\nmodel name\t: One CPU @ 2GHz\nmodel name\t: Two\n";
        assert_eq!(processor(text), Some("One CPU @ 2GHz"));
        assert_eq!(processor("processor : 0\n"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        assert_eq!(memory_bytes("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2048 * 1024));
        assert_eq!(memory_bytes("MemTotal: lots\n"), None);
    }
}
