//! Waking up at an instant, to some tens of microseconds.
//!
//! The runtime's own timers count in milliseconds and round up, which would make every stream of requests a
//! train of small bursts and add half a millisecond to each latency. On Linux a timerfd wakes the thread in time.
//! Elsewhere, and where time is made up, the runtime's timers do; the lateness that a run reports shows the difference.

use std::io;

use tokio::time::{Instant, sleep_until};

pub enum Alarm {
    #[cfg(target_os = "linux")]
    Precise(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
    Runtime,
}

impl Alarm {
    /// # Errors
    /// When the system has no more descriptors.
    #[cfg(target_os = "linux")]
    pub fn precise() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an `OwnedFd` is open, and is always the same descriptor, until the `AsyncFd` that owns it drops it.
        let timer = unsafe {
            tokio::io::unix::AsyncFd::register_with_interest(timer, tokio::io::Interest::READABLE)
        };
        Ok(Self::Precise(timer?))
    }

    #[cfg(not(target_os = "linux"))]
    pub fn precise() -> io::Result<Self> {
        Ok(Self::Runtime)
    }

    /// # Errors
    /// When the timer cannot be read or set.
    pub async fn until(&mut self, instant: Instant) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Precise(timer) => wait(timer, instant).await,
            Self::Runtime => {
                sleep_until(instant).await;
                Ok(())
            }
        }
    }
}

#[cfg(target_os = "linux")]
async fn wait(
    timer: &mut tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
    instant: Instant,
) -> io::Result<()> {
    use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
    let ahead = instant.saturating_duration_since(Instant::now());
    if ahead.is_zero() {
        return Ok(());
    }
    let value = Timespec {
        tv_sec: i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: ahead.subsec_nanos().into(),
    };
    let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
    let new = Itimerspec { it_interval: interval, it_value: value };
    timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &new)?;
    // Nothing is read: setting the timer again forgets what has expired, and saves a system call for each request.
    timer.readable().await?.clear_ready();
    Ok(())
}
