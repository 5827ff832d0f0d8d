//! What is counted of API keys: for each key, and for callers that have none. By the key's name; of the key itself
//! nothing comes here.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::families::Families;

/// Where a key was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Data,
    Admin,
}

impl Port {
    pub const ALL: [Self; 2] = [Self::Data, Self::Admin];

    /// A stable word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Admin => "admin",
        }
    }
}

/// The handles of one key.
#[derive(Debug)]
pub struct KeyMetrics {
    /// In the order of [`Port::ALL`], as the next.
    allowed: [Counter; Port::ALL.len()],
    denied: [Counter; Port::ALL.len()],
}

impl KeyMetrics {
    pub(crate) fn new(families: &Families, name: &str) -> Self {
        let of = |outcome: &str| {
            Port::ALL.map(|port| {
                families.key_requests.get_or_create_owned(&[
                    ("key", name.to_owned()),
                    ("port", port.as_str().to_owned()),
                    ("outcome", outcome.to_owned()),
                ])
            })
        };
        Self { allowed: of("allowed"), denied: of("denied") }
    }

    /// The key was known and allows what was asked.
    pub fn allowed(&self, port: Port) {
        self.allowed[port as usize].inc();
    }

    /// The key was known and does not.
    pub fn denied(&self, port: Port) {
        self.denied[port as usize].inc();
    }
}

/// The handles of all keys together.
#[derive(Debug)]
pub struct KeyFileMetrics {
    /// In the order of [`Port::ALL`], as the next.
    missing: [Counter; Port::ALL.len()],
    unknown: [Counter; Port::ALL.len()],
    valid: Gauge,
}

impl KeyFileMetrics {
    pub(crate) fn new(families: &Families) -> Self {
        let of = |reason| {
            Port::ALL.map(|port| {
                let labels = [("port", port.as_str()), ("reason", reason)];
                families.keys_rejected.get_or_create_owned(&labels)
            })
        };
        Self {
            missing: of("missing"),
            unknown: of("unknown"),
            valid: families.keys_file_valid.get_or_create_owned(&[]),
        }
    }

    /// A request came without a key.
    pub fn missing(&self, port: Port) {
        self.missing[port as usize].inc();
    }

    /// A request came with a key that nobody has, or with several.
    pub fn unknown(&self, port: Port) {
        self.unknown[port as usize].inc();
    }

    /// Whether the file can be used as it is now.
    pub fn set_file_valid(&self, valid: bool) {
        self.valid.set(i64::from(valid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_index_their_own_counters() {
        for (index, port) in Port::ALL.into_iter().enumerate() {
            assert_eq!(port as usize, index);
        }
    }
}
