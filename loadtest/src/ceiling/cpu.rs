//! What the system charges a process for: user and system time. Only Linux tells it here; elsewhere figures go without.

use std::time::Duration;

/// To the nanosecond.
#[cfg(target_os = "linux")]
pub fn of_this_process() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanoseconds))
}

#[cfg(not(target_os = "linux"))]
pub fn of_this_process() -> Option<Duration> {
    None
}
