//! The manifest, `<model>/versions.json`: what was pushed, and which version is active. docs/models.md and
//! docs/schema/versions.json describe the file.
//!
//! Two kinds of change are to be expected of a file that outlives the program that wrote it. What changes the meaning
//! of what is here gets another schema number, and is refused by whoever does not know it: wrong weights on live traffic
//! are worse than an error. What merely adds a field does not: it is read past, because a gateway must go on serving
//! when a newer `tidegate model` has written, and it is written back, because an older one must not lose it.
//!
//! Values are made valid where they are read, so nobody checks them again: a manifest that names an active version
//! which it does not list cannot be made.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use tidegate_inference::{Label, ModelName, Signature, Version};

use crate::{Author, FilePath, ReleaseName, Sha256, Stamp, Timestamp, durable_file, serial};

pub const MANIFEST_FILE: &str = "versions.json";
pub const MODEL_FILE: &str = "model.onnx";

const SCHEMA: u64 = 1;

/// Thousands of versions; what is larger is not a manifest.
const MAX_BYTES: u64 = 8 << 20;

/// So many activations can be rolled back.
const MAX_PREVIOUS: usize = 32;

/// What a model's versions are, and which of them takes the traffic.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Manifest {
    schema: u64,
    #[serde(with = "serial::model")]
    model: ModelName,
    revision: u64,
    active: Option<Activation>,
    previous: Vec<Activation>,
    #[serde(with = "serial::labels")]
    labels: BTreeMap<Label, Activation>,
    versions: Vec<VersionEntry>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// That a version was given the traffic, or a label.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Activation {
    #[serde(with = "serial::version")]
    pub version: Version,
    /// Tells this activation from every other one of the model, also of the same version. Later ones are greater.
    pub since: Timestamp,
    pub by: Author,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// A version that was pushed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct VersionEntry {
    #[serde(with = "serial::version")]
    version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<ReleaseName>,
    pushed_at: Timestamp,
    pushed_by: Author,
    /// Of all its files, in bytes.
    size: u64,
    #[serde(with = "serial::signature")]
    signature: Signature,
    files: Vec<FileEntry>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct FileEntry {
    pub path: FilePath,
    pub size: u64,
    pub sha256: Sha256,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

#[derive(Debug, Error)]
pub enum ManifestError {
    #[error("manifest {}: cannot be {doing}: {error}", path.display())]
    Io { path: PathBuf, doing: &'static str, error: io::Error },
    #[error(
        "manifest {}: it was written by another version of tidegate (schema {found}, this one knows {SCHEMA}): use \
         that version, or a newer one",
        path.display()
    )]
    Schema { path: PathBuf, found: u64 },
    #[error(
        "manifest {}: it is damaged or not a manifest: {reason}; restore it from a backup, or move it away and push \
         the versions again in place",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("manifest {}: it would be larger than {MAX_BYTES} bytes; delete versions first", path.display())]
    Full { path: PathBuf },
}

#[derive(Deserialize)]
struct Head {
    schema: u64,
}

impl Manifest {
    pub fn new(model: ModelName) -> Self {
        Self {
            schema: SCHEMA,
            model,
            revision: 0,
            active: None,
            previous: Vec::new(),
            labels: BTreeMap::new(),
            versions: Vec::new(),
            other: BTreeMap::new(),
        }
    }

    /// What the model's folder says. `None` when it has no manifest.
    ///
    /// # Errors
    /// When there is one that cannot be read or understood, or that is another model's.
    pub fn read(model_folder: &Path) -> Result<Option<Self>, ManifestError> {
        let path = model_folder.join(MANIFEST_FILE);
        let damaged = |reason| ManifestError::Damaged { path: path.clone(), reason };
        let Some(text) = read_bounded(&path)? else { return Ok(None) };
        let text = text.ok_or_else(|| damaged(format!("it is larger than {MAX_BYTES} bytes")))?;
        // The number first: whether the rest can be understood depends on it.
        let Head { schema } = parse(&text).map_err(damaged)?;
        if schema != SCHEMA {
            return Err(ManifestError::Schema { path: path.clone(), found: schema });
        }
        let mut manifest: Self = parse(&text).map_err(damaged)?;
        manifest.versions.sort_by_key(|entry| entry.version);
        manifest.check().map_err(damaged)?;
        let folder = model_folder.file_name().and_then(|name| name.to_str());
        match folder.filter(|folder| *folder != manifest.model.as_str()) {
            Some(folder) => Err(damaged(format!(
                "it is model '{}'s, and lies in the folder '{folder}'",
                manifest.model
            ))),
            None => Ok(Some(manifest)),
        }
    }

    /// Puts it in the place of what the folder said, durably, and counts the revision. Whoever calls holds the
    /// model's lock.
    pub(crate) fn write(&mut self, model_folder: &Path) -> Result<(), ManifestError> {
        let path = model_folder.join(MANIFEST_FILE);
        let revision = self.revision + 1;
        let mut text = serde_json::to_vec_pretty(&Self { revision, ..self.clone() })
            .expect("strings and numbers always serialise");
        text.push(b'\n');
        if text.len() as u64 > MAX_BYTES {
            return Err(ManifestError::Full { path });
        }
        durable_file::replace(&path, &text).map_err(|error| {
            // A full disk gets back what little it had.
            let _ = durable_file::remove_leftover(&path);
            ManifestError::Io { path, doing: "written", error }
        })?;
        self.revision = revision;
        Ok(())
    }

    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// How often it was written.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The version that takes all weighted traffic, if one was ever activated.
    pub fn active(&self) -> Option<&Activation> {
        self.active.as_ref()
    }

    /// What was active before, the latest first.
    pub fn previous(&self) -> &[Activation] {
        &self.previous
    }

    pub fn labels(&self) -> &BTreeMap<Label, Activation> {
        &self.labels
    }

    pub fn labels_of(&self, version: Version) -> impl Iterator<Item = &Label> {
        let is_of = move |(_, activation): &(_, &Activation)| activation.version == version;
        self.labels.iter().filter(is_of).map(|(label, _)| label)
    }

    /// In ascending order.
    pub fn versions(&self) -> &[VersionEntry] {
        &self.versions
    }

    pub fn entry(&self, version: Version) -> Option<&VersionEntry> {
        self.place(version).ok().map(|place| &self.versions[place])
    }

    fn place(&self, version: Version) -> Result<usize, usize> {
        self.versions.binary_search_by_key(&version, |entry| entry.version)
    }

    /// What no single value can say: that they agree. The versions are in order already.
    fn check(&self) -> Result<(), String> {
        if let Some(pair) = self.versions.windows(2).find(|pair| pair[0].version == pair[1].version)
        {
            return Err(format!("version {} is listed twice", pair[0].version));
        }
        for entry in &self.versions {
            entry.check().map_err(|reason| format!("version {}: {reason}", entry.version))?;
        }
        let unlisted = |activation: &Activation| self.entry(activation.version).is_none();
        let mut activations = self.active.iter().chain(&self.previous);
        if let Some(activation) = activations.find(|activation| unlisted(activation)) {
            return Err(format!(
                "version {} is or was active and is not listed",
                activation.version
            ));
        }
        match self.labels.iter().find(|(_, activation)| unlisted(activation)) {
            Some((label, activation)) => Err(format!(
                "label '{label}' names version {}, which is not listed",
                activation.version
            )),
            None => Ok(()),
        }
    }
}

/// Changes, all of them in memory: whoever makes them writes once.
impl Manifest {
    /// A stamp that is later than all that were made for this model.
    pub(crate) fn stamp(&self, by: Author) -> Stamp {
        let activations = self.active.iter().chain(&self.previous).chain(self.labels.values());
        let latest = activations
            .map(|activation| activation.since)
            .chain(self.versions.iter().map(|entry| entry.pushed_at))
            .max();
        Stamp { at: Timestamp::now_after(latest), by }
    }

    /// Takes a version in, or puts it in the place of the one of the same number.
    pub(crate) fn put(&mut self, entry: VersionEntry) {
        match self.place(entry.version) {
            Ok(place) => self.versions[place] = entry,
            Err(place) => self.versions.insert(place, entry),
        }
    }

    /// Forgets a version, with whatever named it. The history too: were the number given again, a rollback would go
    /// to something that was never active.
    pub(crate) fn remove(&mut self, version: Version) {
        self.versions.retain(|entry| entry.version != version);
        self.labels.retain(|_, activation| activation.version != version);
        self.previous.retain(|activation| activation.version != version);
        self.active.take_if(|active| active.version == version);
    }

    pub(crate) fn set_label(&mut self, label: Label, version: Version, stamp: Stamp) {
        self.labels.insert(label, Activation::new(version, stamp));
    }

    /// The version that was active becomes the latest of the previous ones; activated again, it only gets a new
    /// stamp.
    pub(crate) fn activate(&mut self, version: Version, stamp: Stamp) {
        if let Some(active) = self.active.take_if(|active| active.version != version) {
            self.previous.insert(0, active);
            self.previous.truncate(MAX_PREVIOUS);
        }
        self.active = Some(Activation::new(version, stamp));
    }

    /// Goes back to the `index`th of the previous activations; that and what is newer leaves the history, so that
    /// the next time goes further back.
    pub(crate) fn roll_back(&mut self, index: usize, stamp: Stamp) {
        let version = self.previous.drain(..=index).next_back().map(|target| target.version);
        self.active = version.map(|version| Activation::new(version, stamp));
    }
}

impl Activation {
    fn new(version: Version, stamp: Stamp) -> Self {
        Self { version, since: stamp.at, by: stamp.by, other: BTreeMap::new() }
    }
}

impl VersionEntry {
    pub(crate) fn new(
        version: Version,
        name: Option<ReleaseName>,
        stamp: Stamp,
        signature: Signature,
        files: Vec<FileEntry>,
    ) -> Self {
        Self {
            version,
            name,
            pushed_at: stamp.at,
            pushed_by: stamp.by,
            size: total(&files),
            signature,
            files,
            other: BTreeMap::new(),
        }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn name(&self) -> Option<&ReleaseName> {
        self.name.as_ref()
    }

    pub fn pushed_at(&self) -> Timestamp {
        self.pushed_at
    }

    pub fn pushed_by(&self) -> &Author {
        &self.pushed_by
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// By path, `model.onnx` among them.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path.as_str() == path)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(pair) = self.files.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return Err(format!("file '{}' is listed twice or out of order", pair[1].path));
        }
        if self.file(MODEL_FILE).is_none() {
            return Err(format!("no {MODEL_FILE} among its files"));
        }
        let size = total(&self.files);
        if size == self.size {
            return Ok(());
        }
        Err(format!("its size is {}, and its files have {size} bytes", self.size))
    }
}

impl FileEntry {
    pub(crate) fn new(path: FilePath, size: u64, sha256: Sha256) -> Self {
        Self { path, size, sha256, other: BTreeMap::new() }
    }
}

fn total(files: &[FileEntry]) -> u64 {
    files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
}

/// The error says the line and the column.
fn parse<'text, T: Deserialize<'text>>(text: &'text [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// `None` when there is no such file; in it `None` when there is too much of it.
fn read_bounded(path: &Path) -> Result<Option<Option<Vec<u8>>>, ManifestError> {
    let failed = |error| ManifestError::Io { path: path.to_owned(), doing: "read", error };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    Ok(Some(Some(text).filter(|text| text.len() as u64 <= MAX_BYTES)))
}

#[cfg(test)]
mod tests;
