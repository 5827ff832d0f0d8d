//! How many connections are open, and how many ever were.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Clone, Debug, Default)]
pub struct ConnectionMetrics {
    pub(crate) open: Gauge,
    pub(crate) opened: Counter,
}

/// One open connection; closed when dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl ConnectionMetrics {
    #[must_use = "the connection counts as closed when this is dropped"]
    pub fn opened(&self) -> OpenConnection {
        self.opened.inc();
        self.open.inc();
        OpenConnection(self.open.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let metrics = ConnectionMetrics::default();
        let first = metrics.opened();
        let second = metrics.opened();
        assert_eq!(metrics.open.get(), 2);
        drop((first, second));
        assert_eq!((metrics.open.get(), metrics.opened.get()), (0, 2));
    }
}
