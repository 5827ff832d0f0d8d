//! Changes a model of the repository, alone: a [`Writer`] holds the model's lock for as long as it lives.
//!
//! # What a crash leaves
//!
//! A command can end at any instruction, and the gateway looks at the folder at any time. Both see the same few states,
//! because everything that takes time happens under hidden names and each visible step is one rename:
//!
//! * *Push*: copy into `.push-<version>-<random>`, sync every file and folder, read back and hash; let the engine try it;
//!   rename to `<version>`, sync the model's folder; replace `versions.json`. Until the first rename there is nothing
//!   that anybody looks at. After it there is a version, whole and durable.
//!   The manifest comes last, because it is what is believed: an activation, a label or an entry of it never names a
//!   version that is not there. The other order would let the gateway follow a label to nothing, and a push that dies
//!   in between would leave a promise that nobody keeps. The price: killed between the two, it leaves a whole version
//!   that the manifest does not know. `verify` calls it extra, and the same push again takes it in, because its content
//!   is the same.
//! * *Delete*: rename `<version>` to `.delete-<version>-<random>`, replace the manifest, remove what is hidden. The
//!   manifest decides again: killed before it was replaced, the version has not been deleted, and the next command
//!   that writes puts it back; killed after, the next one removes the rest.
//! * *Activate, roll back, label*: one replacement of the manifest.
//!
//! Whoever gets the lock knows that nobody else is at work, so every hidden folder and `versions.json.tmp` is of
//! somebody who died, and is tidied up first.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_inference::{Label, ModelName, Version};

use crate::lock::Lock;
use crate::model_folder::{Contents, DELETING, is_taken, listed};
use crate::{
    Activation, Author, MANIFEST_FILE, Manifest, ModelFolder, RepositoryError, VersionEntry,
    durable_file,
};

#[derive(Debug)]
pub struct Writer {
    folder: ModelFolder,
    pub(crate) manifest: Manifest,
    author: Author,
    /// Taken when the writer is dropped.
    lock: Option<Lock>,
    /// The folder was made for this writer, and goes with it if nothing comes of it.
    is_new: bool,
}

/// Of whom, where, and how long to wait for others.
#[derive(Clone, Debug)]
pub struct Terms {
    pub repository: PathBuf,
    pub author: Author,
    pub wait: Duration,
}

impl Writer {
    /// Waits until nobody else changes the model, and tidies up after those who died doing so.
    ///
    /// # Errors
    /// When there is no such model, somebody else takes too long, or the manifest cannot be understood.
    pub fn open(terms: &Terms, model: &ModelName) -> Result<Self, RepositoryError> {
        Self::lock(terms, ModelFolder::existing(&terms.repository, model)?)
    }

    /// As [`Writer::open`]; a model that is not there yet is made.
    ///
    /// # Errors
    /// When there is no repository, somebody else takes too long, or the manifest cannot be understood.
    pub fn open_or_make(terms: &Terms, model: &ModelName) -> Result<Self, RepositoryError> {
        if !terms.repository.is_dir() {
            return Err(RepositoryError::NoRepository(terms.repository.clone()));
        }
        Self::lock(terms, ModelFolder::new(&terms.repository, model.clone()))
    }

    fn lock(terms: &Terms, folder: ModelFolder) -> Result<Self, RepositoryError> {
        let is_new = !folder.path().is_dir();
        let holder = format!("{} (process {})", terms.author, std::process::id());
        let lock = Some(Lock::exclusive(folder.path(), terms.wait, &holder)?);
        let manifest = folder.manifest()?;
        let manifest = manifest.unwrap_or_else(|| Manifest::new(folder.model().clone()));
        let writer = Self { folder, manifest, author: terms.author.clone(), lock, is_new };
        writer.tidy_up()?;
        Ok(writer)
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn folder(&self) -> &ModelFolder {
        &self.folder
    }

    pub fn model(&self) -> &ModelName {
        self.folder.model()
    }

    /// Gives a version all weighted traffic, once whoever serves has seen it. Nothing is given to what is not as it was
    /// pushed, so every file is read first.
    ///
    /// # Errors
    /// When there is no such version in the manifest, or its files are not what was pushed.
    pub fn activate(&mut self, version: Version) -> Result<&Activation, RepositoryError> {
        self.verify(version)?;
        let stamp = self.manifest.stamp(self.author.clone());
        self.change(|manifest| manifest.activate(version, stamp))?;
        Ok(self.manifest.active().expect("it was activated just now"))
    }

    /// Gives the traffic back to what had it before, as far as that is still there.
    ///
    /// # Errors
    /// When nothing is, or its files are not what was pushed.
    pub fn roll_back(&mut self) -> Result<&Activation, RepositoryError> {
        let there = self.contents()?.versions;
        let active = self.manifest.active().map(|active| active.version);
        let target = self.manifest.previous().iter().enumerate().find(|(_, activation)| {
            Some(activation.version) != active && there.contains_key(&activation.version)
        });
        let Some((index, version)) = target.map(|(index, target)| (index, target.version)) else {
            return Err(RepositoryError::NothingBefore { model: self.model().clone() });
        };
        self.verify(version)?;
        let stamp = self.manifest.stamp(self.author.clone());
        self.change(|manifest| manifest.roll_back(index, stamp))?;
        Ok(self.manifest.active().expect("it was activated just now"))
    }

    /// Lets labels name a version of the manifest. Those that do already stay as they are.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn label(&mut self, labels: &[Label], entry: &VersionEntry) -> Result<(), RepositoryError> {
        let version = entry.version();
        let is_of = |label: &&Label| {
            self.manifest.labels().get(*label).is_none_or(|named| named.version != version)
        };
        let new: Vec<Label> = labels.iter().filter(is_of).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let stamp = self.manifest.stamp(self.author.clone());
        self.change(|manifest| {
            new.into_iter().for_each(|label| manifest.set_label(label, version, stamp.clone()));
        })
    }

    /// Takes a version out of the manifest and away from the disk.
    ///
    /// # Errors
    /// When there is no such version, or it is active or labelled and not `forced`.
    pub fn delete(&mut self, version: Version, forced: bool) -> Result<(), RepositoryError> {
        let folder = self.contents()?.versions.remove(&version);
        if folder.is_none() && self.manifest.entry(version).is_none() {
            return Err(self.unknown_version(version));
        }
        if let Some(used) = self.used(version).filter(|_| !forced) {
            let model = self.model().clone();
            return Err(RepositoryError::InUse { model, version, used });
        }
        let aside = self.hidden(DELETING, version);
        if let Some(folder) = &folder {
            rename(folder, &aside)?;
        }
        if self.manifest.entry(version).is_some() {
            let changed = self.change(|manifest| manifest.remove(version));
            if let (Err(error), Some(folder)) = (changed, &folder) {
                // What cannot be put back now is put back by the next one.
                let _ = fs::rename(&aside, folder);
                return Err(error);
            }
        }
        if folder.is_some() { remove(&aside) } else { Ok(()) }
    }

    /// Why it is not to be deleted.
    fn used(&self, version: Version) -> Option<String> {
        let is_active = self.manifest.active().is_some_and(|active| active.version == version);
        let labels: Vec<String> =
            self.manifest.labels_of(version).map(|label| format!("'{label}'")).collect();
        match (is_active, labels.as_slice()) {
            (false, []) => None,
            (true, []) => Some("it is active".to_owned()),
            (false, labels) => Some(format!("it has the label {}", labels.join(", "))),
            (true, labels) => Some(format!("it is active and has the label {}", labels.join(", "))),
        }
    }

    /// That it is in the manifest, and as it was pushed.
    fn verify(&self, version: Version) -> Result<(), RepositoryError> {
        let folder = self.contents()?.versions.remove(&version);
        let model = self.model().clone();
        match (self.manifest.entry(version), folder) {
            (None, None) => Err(self.unknown_version(version)),
            (None, Some(folder)) => Err(RepositoryError::Unlisted { model, version, folder }),
            (Some(entry), folder) => {
                let folder = folder.unwrap_or_else(|| self.place(version));
                let verified = entry.verify(&folder);
                verified.map_err(|mismatch| RepositoryError::Damaged { model, version, mismatch })
            }
        }
    }

    /// Changes the manifest, or nothing.
    pub(crate) fn change(
        &mut self,
        change: impl FnOnce(&mut Manifest),
    ) -> Result<(), RepositoryError> {
        let mut changed = self.manifest.clone();
        change(&mut changed);
        changed.write(self.folder.path())?;
        self.manifest = changed;
        self.is_new = false;
        Ok(())
    }

    pub(crate) fn author(&self) -> &Author {
        &self.author
    }

    pub(crate) fn contents(&self) -> Result<Contents, RepositoryError> {
        self.folder.contents()
    }

    /// Where a version of ours lies.
    pub(crate) fn place(&self, version: Version) -> PathBuf {
        self.folder.path().join(version.to_string())
    }

    /// A name that nobody looks at and nobody else has.
    pub(crate) fn hidden(&self, start: &str, version: Version) -> PathBuf {
        let random = RandomState::new().hash_one(std::process::id());
        self.folder.path().join(format!("{start}{version}-{random:016x}"))
    }

    /// Whoever left something has died, or we would not hold the lock.
    fn tidy_up(&self) -> Result<(), RepositoryError> {
        let manifest = self.folder.path().join(MANIFEST_FILE);
        durable_file::remove_leftover(&manifest)
            .map_err(|error| RepositoryError::io(&manifest, "cleaned of its .tmp file", error))?;
        for leftover in self.contents()?.leftovers {
            match self.not_yet_deleted(&leftover) {
                Some(version) => rename(&leftover, &self.place(version))?,
                None => remove(&leftover)?,
            }
        }
        Ok(())
    }

    /// The version that was moved aside by somebody who did not come to say so in the manifest.
    fn not_yet_deleted(&self, leftover: &Path) -> Option<Version> {
        let name = leftover.file_name()?.to_str()?;
        let version: Version = name.strip_prefix(DELETING)?.split('-').next()?.parse().ok()?;
        let is_listed = self.manifest.entry(version).is_some();
        (is_listed && !is_taken(&self.place(version)).ok()?).then_some(version)
    }

    fn unknown_version(&self, version: Version) -> RepositoryError {
        let mut known: Vec<Version> =
            self.manifest.versions().iter().map(VersionEntry::version).collect();
        known.extend(self.contents().unwrap_or_default().versions.into_keys());
        known.sort();
        known.dedup();
        RepositoryError::UnknownVersion {
            model: self.model().clone(),
            version,
            known: listed(&known),
        }
    }
}

impl Drop for Writer {
    /// A model that was made for a push that came to nothing leaves no trace.
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take().filter(|_| self.is_new) {
            // Fails if there is something else in the folder, as it should.
            let _ = lock.remove_with_folder();
        }
    }
}

/// Within one model's folder, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), RepositoryError> {
    let renamed =
        fs::rename(from, to).and_then(|()| to.parent().map_or(Ok(()), durable_file::sync_folder));
    renamed.map_err(|error| RepositoryError::io(from, "renamed", error))
}

/// A folder with all that is in it, or a link to one.
pub(crate) fn remove(path: &Path) -> Result<(), RepositoryError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RepositoryError::io(path, "removed", error))
        }
        _ => Ok(()),
    }
}
