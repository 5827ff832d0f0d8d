//! The keys in force: read at start, and replaced as a whole when the file has changed for the better.
//!
//! A request takes one snapshot and keeps to it. A file that cannot be used changes nothing: the old keys hold, the log
//! says why, and a gauge says so for as long as it lasts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_telemetry::{KeyFileMetrics, Telemetry};

use crate::digest::Digest;
use crate::file::{self, KeyFileError};
use crate::follower::Follower;
use crate::ring::{Key, Ring};

pub struct Keys {
    file: PathBuf,
    telemetry: Arc<Telemetry>,
    pub(crate) metrics: KeyFileMetrics,
    pub(crate) ring: ArcSwap<Ring>,
    /// Of the contents that were read at start.
    pub(crate) first: Digest,
}

impl Keys {
    /// Reads the file; it is not followed yet.
    ///
    /// # Errors
    /// When it cannot be read, or holds mistakes.
    pub fn read(file: &Path, telemetry: &Arc<Telemetry>) -> Result<Arc<Self>, KeyFileError> {
        let contents = contents(file)?;
        let ring = ring(file, &contents, telemetry)?;
        let metrics = telemetry.api_keys();
        metrics.set_file_valid(true);
        Ok(Arc::new(Self {
            file: file.to_owned(),
            telemetry: Arc::clone(telemetry),
            metrics,
            ring: ArcSwap::from_pointee(ring),
            first: Digest::of(&contents),
        }))
    }

    /// Whether a gateway could start with this file.
    ///
    /// # Errors
    /// As [`Keys::read`].
    pub fn check(file: &Path) -> Result<(), KeyFileError> {
        file::parse(file, &contents(file)?).map(drop)
    }

    /// What keeps them as the file has them, for as long as it is asked to look.
    pub fn follower(self: &Arc<Self>) -> Follower {
        Follower::of(Arc::clone(self))
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Puts other contents of the file in force, or says why not.
    pub(crate) fn replace(&self, contents: Result<Vec<u8>, KeyFileError>) {
        match contents.and_then(|contents| ring(&self.file, &contents, &self.telemetry)) {
            Ok(ring) => {
                let (file, keys) = (self.file.display(), ring.names());
                self.ring.store(Arc::new(ring));
                self.metrics.set_file_valid(true);
                tracing::info!(%file, keys, "the API keys were replaced");
            }
            Err(problem) => {
                self.metrics.set_file_valid(false);
                tracing::error!(%problem, "the file of API keys cannot be used: the old keys hold");
            }
        }
    }
}

pub(crate) fn contents(file: &Path) -> Result<Vec<u8>, KeyFileError> {
    file::contents(file).map_err(|error| KeyFileError::of(file, format!("cannot be read: {error}")))
}

fn ring(file: &Path, contents: &[u8], telemetry: &Telemetry) -> Result<Ring, KeyFileError> {
    let keyed = |entry: file::Entry| {
        let metrics = telemetry.api_key(&entry.name);
        (entry.digest, Key { name: entry.name, scopes: entry.scopes, metrics })
    };
    Ok(Ring::new(file::parse(file, contents)?.into_iter().map(keyed)))
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("file", &self.file).finish_non_exhaustive()
    }
}
