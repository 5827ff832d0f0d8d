//! How much may be in flight at once, and the permit that each request inside holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_inference::{Error, ErrorKind, Result};

/// `Retry-After` counts in whole seconds, and an overload that lasts is not helped by less.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Beyond any of these a request is refused at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_requests_in_flight: usize,
    /// Bytes of request bodies.
    pub max_bytes_in_flight: usize,
    /// Rows of all models together.
    pub max_rows_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_requests_in_flight: 8_192,
            max_bytes_in_flight: 512 << 20,
            max_rows_in_flight: 262_144,
        }
    }
}

/// What is in flight now.
pub(crate) struct InFlight {
    limits: Limits,
    requests: AtomicUsize,
    bytes: AtomicUsize,
    rows: AtomicUsize,
}

/// The right to be in flight; given back when dropped.
pub struct Permit {
    from: Arc<InFlight>,
    bytes: usize,
    rows: usize,
}

impl InFlight {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            rows: AtomicUsize::new(0),
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`ErrorKind::Overloaded`], or [`ErrorKind::TooLarge`] for what could never enter.
    pub(crate) fn permit(self: &Arc<Self>, bytes: usize) -> Result<Permit> {
        take(&self.requests, 1, self.limits.max_requests_in_flight, "requests")?;
        let mut permit = Permit { from: Arc::clone(self), bytes: 0, rows: 0 };
        permit.take_bytes(bytes)?;
        Ok(permit)
    }
}

impl Permit {
    pub(crate) fn take_bytes(&mut self, bytes: usize) -> Result<()> {
        take(&self.from.bytes, bytes, self.from.limits.max_bytes_in_flight, "bytes")?;
        self.bytes += bytes;
        Ok(())
    }

    pub(crate) fn take_rows(&mut self, rows: usize) -> Result<()> {
        take(&self.from.rows, rows, self.from.limits.max_rows_in_flight, "rows")?;
        self.rows += rows;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.from.requests.fetch_sub(1, Ordering::Relaxed);
        self.from.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.from.rows.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

// Relaxed throughout: the counters guard nothing but themselves.
fn take(counter: &AtomicUsize, amount: usize, limit: usize, what: &str) -> Result<()> {
    if amount > limit {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("the request has {amount} {what}, expected at most {limit}"),
        ));
    }
    let fits = |now: usize| now.checked_add(amount).filter(|sum| *sum <= limit);
    match counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
        Ok(_) => Ok(()),
        Err(now) => Err(Error::new(
            ErrorKind::Overloaded,
            format!(
                "{now} {what} are in flight, and {amount} more would exceed the limit of {limit}"
            ),
        )
        .with_retry_after(RETRY_AFTER)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight() -> Arc<InFlight> {
        Arc::new(InFlight::new(Limits {
            max_requests_in_flight: 2,
            max_bytes_in_flight: 100,
            max_rows_in_flight: 10,
        }))
    }

    fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn a_permit_gives_back_all_that_it_took() {
        let all = in_flight();
        let mut permit = all.permit(60).unwrap();
        permit.take_bytes(40).unwrap();
        permit.take_rows(10).unwrap();
        assert_eq!(kind(all.permit(1)), Some(ErrorKind::Overloaded));
        drop(permit);
        assert!(all.permit(100).unwrap().take_rows(10).is_ok());
        assert_eq!(all.requests(), 0);
    }

    #[test]
    fn a_refused_permit_keeps_nothing() {
        let all = in_flight();
        let _first = all.permit(100).unwrap();
        assert_eq!(kind(all.permit(1)), Some(ErrorKind::Overloaded));
        assert_eq!(all.requests(), 1);
    }

    #[test]
    fn what_could_never_enter_is_too_large_and_not_told_to_retry() {
        let all = in_flight();
        assert_eq!(kind(all.permit(101)), Some(ErrorKind::TooLarge));
        assert_eq!(kind(all.permit(0).unwrap().take_rows(usize::MAX)), Some(ErrorKind::TooLarge));
    }
}
