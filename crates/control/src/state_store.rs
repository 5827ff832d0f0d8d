//! Where admin-set labels and weights survive a kill -9. Every acknowledged change is a whole new
//! file, renamed over the old one; a gateway has few models, so the file stays small.
//!
//! What cannot be read is refused, never replaced by defaults: wrong weights on live traffic are
//! worse than a gateway that does not start. A lock file beside it, held open for as long as the
//! store lives, keeps a second gateway from the same state; the system frees it however we end.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_inference::ModelName;
use tidegate_repository::durable_file;

use crate::state_document::{self, AdminSet, DocumentError};

#[derive(Debug, Error)]
pub enum StateError {
    #[error("state file {}: cannot be {doing}: {error}", path.display())]
    Io { path: PathBuf, doing: &'static str, error: io::Error },
    #[error(
        "state file {}: in use by another running tidegate; stop that one, or give this one \
         another state path",
        path.display()
    )]
    Locked { path: PathBuf },
    #[error(
        "state file {}: {error}; it holds the weights and labels that were set through the admin \
         API: restore it, or move it away to start from the configured ones",
        path.display()
    )]
    Document { path: PathBuf, error: DocumentError },
}

#[derive(Debug)]
pub struct StateStore {
    path: PathBuf,
    models: BTreeMap<ModelName, AdminSet>,
    /// Locked until it is dropped.
    _lock: File,
}

impl StateStore {
    /// # Errors
    /// When another process holds it, or it cannot be read or understood.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |doing| move |error| StateError::Io { path: path.to_owned(), doing, error };
        durable_file::make_folder(path).map_err(failed("given a folder"))?;
        let lock = lock(path)?;
        durable_file::remove_leftover(path).map_err(failed("cleaned of its .tmp file"))?;
        let models = match fs::read(path) {
            Ok(content) => state_document::read(&content)
                .map_err(|error| StateError::Document { path: path.to_owned(), error })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(failed("read")(error)),
        };
        Ok(Self { path: path.to_owned(), models, _lock: lock })
    }

    pub fn models(&self) -> &BTreeMap<ModelName, AdminSet> {
        &self.models
    }

    /// Puts these in the place of what was saved for the same models. Returns once they are on disk, all or
    /// none. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When it could not be written; the store then still holds what it held.
    pub fn save(
        &mut self,
        sets: impl IntoIterator<Item = (ModelName, AdminSet)>,
    ) -> Result<(), StateError> {
        let mut models = self.models.clone();
        models.extend(sets);
        durable_file::replace(&self.path, &state_document::write(&models))
            .map_err(|error| StateError::Io { path: self.path.clone(), doing: "written", error })?;
        self.models = models;
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, StateError> {
    let lock_path = durable_file::beside(path, ".lock");
    let failed = |error| StateError::Io { path: lock_path.clone(), doing: "locked", error };
    // The state file itself cannot carry the lock: each save puts another file in its place.
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_router::Weight;

    use super::*;
    use crate::testing::{label, model, version};
    use crate::weights::Weights;

    fn some_set() -> AdminSet {
        AdminSet {
            labels: Some([(label("blue"), version(1))].into()),
            weights: Some(Weights::new([(version(1), Weight::new(90).unwrap())]).unwrap()),
            ..AdminSet::default()
        }
    }

    #[test]
    fn what_was_saved_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/control.json");
        let mut store = StateStore::open(&path).unwrap();
        assert!(store.models().is_empty());
        store.save([(model("digits"), some_set())]).unwrap();
        store.save([(model("other"), AdminSet::default())]).unwrap();
        drop(store);
        let store = StateStore::open(&path).unwrap();
        assert_eq!(store.models()["digits"], some_set());
        assert_eq!(store.models()["other"], AdminSet::default());
    }

    #[test]
    fn the_leftover_of_a_crash_is_ignored_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.json");
        StateStore::open(&path).unwrap().save([(model("digits"), some_set())]).unwrap();
        // Killed before the rename: half a new file lies beside the whole old one.
        let leftover = folder.path().join("control.json.tmp");
        fs::write(&leftover, r#"{"schema":1,"models":{"dig"#).unwrap();
        let store = StateStore::open(&path).unwrap();
        assert_eq!(store.models()["digits"], some_set());
        assert!(!leftover.exists());
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.json");
        for content in ["", "{\"schema\":1,", "{\"schema\":2,\"models\":[]}", "\u{0}\u{0}"] {
            fs::write(&path, content).unwrap();
            let error = StateStore::open(&path).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
            assert!(error.contains("move it away"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_second_gateway_is_kept_out_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.json");
        let first = StateStore::open(&path).unwrap();
        let error = StateStore::open(&path).unwrap_err();
        assert!(matches!(error, StateError::Locked { .. }), "{error}");
        drop(first);
        StateStore::open(&path).unwrap();
    }

    #[test]
    fn a_save_that_failed_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.json");
        let mut store = StateStore::open(&path).unwrap();
        store.save([(model("digits"), some_set())]).unwrap();
        fs::create_dir(folder.path().join("control.json.tmp")).unwrap();
        let error = store.save([(model("digits"), AdminSet::default())]).unwrap_err();
        assert!(error.to_string().contains("control.json: cannot be written"), "{error}");
        assert_eq!(store.models()["digits"], some_set());
    }
}
