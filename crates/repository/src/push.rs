//! Brings a version into the repository: staged under a hidden name, tried by whoever has an engine, published. What
//! is only staged goes when it is dropped. The order of the steps, and why, stands in `writer`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tidegate_inference::{Label, Signature, Version};

use crate::model_folder::PUSHING;
use crate::writer::{remove, rename};
use crate::{
    FileEntry, FilePath, ReleaseName, RepositoryError, Sha256, Source, VersionEntry, Writer,
    durable_file,
};

/// What is there under the number that is to be pushed.
#[derive(Debug)]
pub enum Presence {
    Absent,
    /// The same content, in the manifest and in its folder.
    Same(VersionEntry),
    /// The same content, in a folder that the manifest does not know.
    Unlisted(Unlisted),
}

/// A version that lies in the repository as somebody copied it there, or as a push that was cut off left it.
#[derive(Debug)]
pub struct Unlisted {
    version: Version,
    folder: PathBuf,
    files: Vec<FileEntry>,
}

/// A copy under a hidden name, durable and with the hashes of what was read.
#[derive(Debug)]
pub struct Staged {
    version: Version,
    folder: PathBuf,
    files: Vec<FileEntry>,
}

/// What the manifest is to say of a version beyond its files.
#[derive(Clone, Debug)]
pub struct About {
    pub name: Option<ReleaseName>,
    pub labels: Vec<Label>,
    pub signature: Signature,
}

/// The version whose contract a new one has to keep.
#[derive(Debug)]
pub enum Forerunner {
    Listed(VersionEntry),
    Unlisted(Version, PathBuf),
}

impl Writer {
    /// The number after the highest that there is.
    ///
    /// # Errors
    /// When there is none.
    pub fn next_version(&self) -> Result<Version, RepositoryError> {
        let there = self.contents()?.versions.into_keys();
        let highest = there.chain(self.manifest.versions().iter().map(VersionEntry::version)).max();
        let Some(highest) = highest else { return Ok(Version::new(1).expect("1 is a version")) };
        Version::new(highest.get() + 1)
            .ok_or_else(|| RepositoryError::NoNumberLeft { model: self.model().clone(), highest })
    }

    /// Whether the version is there already. Reads everything when it is.
    ///
    /// # Errors
    /// When it is there with other content, or is not as it was pushed.
    pub fn presence(&self, version: Version, source: &Source) -> Result<Presence, RepositoryError> {
        let folder = self.contents()?.versions.remove(&version);
        let listed = self.manifest.entry(version);
        if folder.is_none() && listed.is_none() {
            return Ok(Presence::Absent);
        }
        let ours = source.entries()?;
        let (there, folder) = match (listed, folder) {
            (Some(entry), folder) => (entry.files().to_vec(), folder),
            (None, Some(folder)) => (Source::at(&folder)?.entries()?, Some(folder)),
            (None, None) => unreachable!("returned above"),
        };
        if let Some(difference) = difference(&there, &ours) {
            let model = self.model().clone();
            return Err(RepositoryError::Taken { model, version, difference });
        }
        match (listed, folder) {
            // Its folder was removed by hand: it is brought back.
            (_, None) => Ok(Presence::Absent),
            (None, Some(folder)) => {
                Ok(Presence::Unlisted(Unlisted { version, folder, files: ours }))
            }
            (Some(entry), Some(folder)) => match entry.verify(&folder) {
                Ok(()) => Ok(Presence::Same(entry.clone())),
                Err(mismatch) => {
                    let model = self.model().clone();
                    Err(RepositoryError::Damaged { model, version, mismatch })
                }
            },
        }
    }

    /// The active version; where none is, the highest but this one.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn forerunner(&self, version: Version) -> Result<Option<Forerunner>, RepositoryError> {
        if let Some(active) = self.manifest.active().filter(|active| active.version != version) {
            let entry = self.manifest.entry(active.version);
            return Ok(entry.cloned().map(Forerunner::Listed));
        }
        let mut there = self.contents()?.versions;
        there.remove(&version);
        let listed = self.manifest.versions().iter().rev().find(|entry| entry.version() != version);
        Ok(match (listed, there.pop_last()) {
            (Some(entry), Some((unlisted, path))) if unlisted > entry.version() => {
                Some(Forerunner::Unlisted(unlisted, path))
            }
            (Some(entry), _) => Some(Forerunner::Listed(entry.clone())),
            (None, Some((unlisted, path))) => Some(Forerunner::Unlisted(unlisted, path)),
            (None, None) => None,
        })
    }

    /// That the name may be given to the version.
    ///
    /// # Errors
    /// When it is another version's.
    pub fn check_name(&self, name: &ReleaseName, version: Version) -> Result<(), RepositoryError> {
        let mut others = self.manifest.versions().iter().filter(|entry| entry.version() != version);
        match others.find(|entry| entry.name() == Some(name)) {
            None => Ok(()),
            Some(entry) => Err(RepositoryError::NameTaken {
                model: self.model().clone(),
                name: name.clone(),
                version: entry.version(),
            }),
        }
    }

    /// Copies what is to be pushed to where one rename makes it a version. Nobody sees it yet.
    ///
    /// # Errors
    /// When it cannot be read or written; nothing is left then.
    pub fn stage(&self, version: Version, source: &Source) -> Result<Staged, RepositoryError> {
        let folder = self.hidden(PUSHING, version);
        create_folder(&folder)?;
        // Dropped on the way out when something fails.
        let mut staged = Staged { version, folder, files: Vec::new() };
        let mut folders = BTreeSet::from([staged.folder.clone()]);
        for (place, from) in source.files() {
            let to = place.within(&staged.folder);
            folders.extend(make_parents(&staged.folder, &to)?);
            staged.files.push(copy(place, from, &to)?);
        }
        for folder in &folders {
            durable_file::sync_folder(folder)
                .map_err(|error| RepositoryError::io(folder, "synced", error))?;
        }
        for entry in &staged.files {
            let path = entry.path.within(&staged.folder);
            let found = Sha256::of_file(&path)
                .map_err(|error| RepositoryError::io(&path, "read back", error))?;
            if found != entry.sha256 {
                return Err(RepositoryError::Faulty { path });
            }
        }
        Ok(staged)
    }

    /// Makes a version of what was staged. The only one that a model has is active from the start: otherwise whatever is
    /// pushed next would take the traffic, as the newest does where nobody has said which one is to have it.
    ///
    /// # Errors
    /// When it cannot be renamed, or the manifest not be written; nothing is left then.
    pub fn publish(
        &mut self,
        mut staged: Staged,
        about: About,
    ) -> Result<&VersionEntry, RepositoryError> {
        let place = self.place(staged.version);
        let (version, files) = (staged.version, mem::take(&mut staged.files));
        let is_only = self.contents()?.versions.is_empty() && self.manifest.active().is_none();
        let published =
            rename(&staged.folder, &place).and_then(|()| self.list(version, files, about, is_only));
        if let Err(error) = published {
            // Back under the hidden name, which goes with what was staged. If it never came here, it is there.
            let _ = fs::rename(&place, &staged.folder);
            return Err(error);
        }
        // What would be removed has moved away.
        drop(staged);
        Ok(self.manifest.entry(version).expect("it was listed just now"))
    }

    /// Takes a version that lies there into the manifest.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn adopt(
        &mut self,
        unlisted: Unlisted,
        about: About,
    ) -> Result<&VersionEntry, RepositoryError> {
        let Unlisted { version, files, .. } = unlisted;
        self.list(version, files, about, false)?;
        Ok(self.manifest.entry(version).expect("it was listed just now"))
    }

    fn list(
        &mut self,
        version: Version,
        files: Vec<FileEntry>,
        about: About,
        is_active: bool,
    ) -> Result<(), RepositoryError> {
        let stamp = self.manifest.stamp(self.author().clone());
        let About { name, labels, signature } = about;
        let entry = VersionEntry::new(version, name, stamp.clone(), signature, files);
        self.change(|manifest| {
            manifest.put(entry);
            if is_active {
                manifest.activate(version, stamp.clone());
            }
            labels.into_iter().for_each(|label| manifest.set_label(label, version, stamp.clone()));
        })
    }
}

impl Unlisted {
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Staged {
    /// Looks like a version's folder: an engine can load it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next one.
        let _ = remove(&self.folder);
    }
}

/// The first thing that differs.
fn difference(there: &[FileEntry], ours: &[FileEntry]) -> Option<String> {
    let find =
        |all: &[FileEntry], path: &FilePath| all.iter().find(|file| file.path == *path).cloned();
    for file in ours {
        match find(there, &file.path) {
            None => return Some(format!("{} is new", file.path)),
            Some(other) if other.sha256 != file.sha256 => {
                let (theirs, ours) = (other.sha256.short(), file.sha256.short());
                return Some(format!("{}: sha256 {theirs} there, {ours} here", file.path));
            }
            Some(_) => {}
        }
    }
    let lost = there.iter().find(|file| find(ours, &file.path).is_none());
    lost.map(|file| format!("{} is missing here", file.path))
}

fn create_folder(path: &Path) -> Result<(), RepositoryError> {
    fs::create_dir(path).map_err(|error| RepositoryError::io(path, "made", error))
}

/// All folders between the root and the file; each has to be synced.
fn make_parents(root: &Path, file: &Path) -> Result<Vec<PathBuf>, RepositoryError> {
    let parents = file.ancestors().skip(1).take_while(|folder| *folder != root);
    let parents: Vec<PathBuf> = parents.map(Path::to_owned).collect();
    for folder in parents.iter().rev() {
        fs::create_dir_all(folder).map_err(|error| RepositoryError::io(folder, "made", error))?;
    }
    Ok(parents)
}

/// Durable when it returns. The rights are those that a new file gets: whoever serves is often somebody else than who
/// pushed, and the original may be its owner's alone.
fn copy(place: &FilePath, from: &Path, to: &Path) -> Result<FileEntry, RepositoryError> {
    let unreadable = |error| RepositoryError::io(from, "read", error);
    let unwritable = |error| RepositoryError::io(to, "written", error);
    let mut source = File::open(from).map_err(unreadable)?;
    let before = look(&source).map_err(unreadable)?;
    let mut target = File::create_new(to).map_err(unwritable)?;
    let mut failed_writing = None;
    let copied = Sha256::while_reading(&mut source, |bytes| {
        target.write_all(bytes).map_err(|error| {
            let kind = error.kind();
            failed_writing = Some(error);
            kind.into()
        })
    });
    if let Some(error) = failed_writing {
        return Err(unwritable(error));
    }
    let (sha256, size) = copied.map_err(unreadable)?;
    target.sync_all().map_err(unwritable)?;
    if look(&source).map_err(unreadable)? != before || size != before.0 {
        return Err(RepositoryError::Changed { path: from.to_owned() });
    }
    Ok(FileEntry::new(place.clone(), size, sha256))
}

/// What shows that somebody writes to it.
fn look(file: &File) -> io::Result<(u64, Option<SystemTime>)> {
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.modified().ok()))
}
