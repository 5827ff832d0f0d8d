//! Instructions of an operation, counted by valgrind's callgrind: steadier than any clock, and the
//! same while others build beside it. They say nothing of caches, of waiting, or of other threads.
//!
//! This program is started again under valgrind to do one thing so many times. Callgrind counts only
//! inside `measure::counted_work`, which it knows by its name, so starting up and preparing do not count.

use std::process::Command;

use super::measure::Arm;
use crate::Result;

const COUNTED: &str = "--toggle-collect=*counted_work*";

pub struct Counter;

impl Counter {
    /// # Errors
    /// Why instructions cannot be counted here.
    pub fn find() -> Result<Self, String> {
        match Command::new("valgrind").arg("--version").output() {
            Ok(output) if output.status.success() => Ok(Self),
            Ok(output) => Err(format!("valgrind ended with {}", output.status)),
            Err(error) => Err(format!("no valgrind: {error}")),
        }
    }

    /// Of one operation of each arm.
    pub fn count(&self, case: &str, arms: &[Arm], times: u64) -> Result<Vec<f64>> {
        let one = |arm: &Arm| Ok(self.collected(case, arm.name, times)? as f64 / times as f64);
        arms.iter().map(one).collect()
    }

    fn collected(&self, case: &str, arm: &str, times: u64) -> Result<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", COUNTED])
            .arg(std::env::current_exe()?)
            .args(["operate", case, arm, &times.to_string()])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let found = output.status.success().then(|| collected_in(&said)).flatten();
        found.ok_or_else(|| {
            format!("valgrind counted nothing for '{case}', '{arm}' ({}): {said}", output.status)
                .into()
        })
    }
}

/// `==123== Collected : 4567`, with as many events as were asked for.
fn collected_in(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    line?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_what_valgrind_says() {
        let said =
            "==7== Events    : Ir\n==7== Collected : 81920\n==7== \n==7== I   refs:      81,920\n";
        assert_eq!(collected_in(said), Some(81_920));
        assert_eq!(collected_in("==7== Events    : Ir\n"), None);
    }
}
