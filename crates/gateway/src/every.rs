//! Work that is done again and again on a thread of its own, such as looking at a file, until it is told to stop.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Dropped, it stops too, and is not waited for.
pub struct Every {
    /// Nothing is sent through it: that it is gone says all.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Every {
    /// Does the work at once, and then again each time so long after it was done.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        name: &str,
        pause: Duration,
        mut work: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            loop {
                work();
                match stopped.recv_timeout(pause) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Tells it to stop; what is given back waits until it has, which is as long as the work takes.
    pub fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.thread
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_work_is_done_again_and_again_until_it_is_told_to_stop() {
        let (done, seen) = channel();
        let every = Every::start("a-test", Duration::from_micros(1), move || {
            let _ = done.send(());
        });
        let every = every.unwrap();
        assert_eq!(seen.iter().take(3).count(), 3);
        every.stop().join().unwrap();
        assert!(seen.iter().count() < usize::MAX, "its end was dropped, so this ends");
    }

    #[test]
    fn who_waits_for_the_next_time_is_woken_to_stop() {
        let (done, seen) = channel();
        let every = Every::start("a-test", Duration::from_secs(3600), move || {
            let _ = done.send(());
        });
        seen.recv().unwrap();
        every.unwrap().stop().join().unwrap();
    }
}
