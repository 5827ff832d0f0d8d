//! `[api_keys]`: the file of keys, and which ports want one. The file is read here once to tell its mistakes together
//! with all others; it is read again, and kept, when the gateway starts.

use std::path::PathBuf;

use tidegate_configuration::Section;
use tidegate_credentials::Keys;

use super::set;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeys {
    pub path: PathBuf,
    /// Callers of the data port need a key.
    pub data: bool,
    /// Callers of the admin port do.
    pub admin: bool,
    /// Scrapers do as well, on the ports that want one.
    pub metrics: bool,
}

impl ApiKeys {
    /// Without a file there are no keys; a switch without a file would be taken for a lock that is not there.
    pub(super) fn read(section: Section<'_>) -> Option<Self> {
        let path = section.path("path");
        let switches = ["data", "admin", "metrics"].map(|key| section.value::<bool>(key));
        if path.is_none() && !section.is_reported("path") && switches != [None; 3] {
            section.missing("path", "expected the file of the keys, got nothing");
        }
        section.unknown_keys();
        let mut keys = Self { path: path?, data: true, admin: true, metrics: false };
        let [data, admin, metrics] = switches;
        set(&mut keys.data, data);
        set(&mut keys.admin, admin);
        set(&mut keys.metrics, metrics);
        if let Err(error) = Keys::check(&keys.path) {
            for mistake in error.lines() {
                section.mistake("path", mistake);
            }
        }
        Some(keys)
    }
}
