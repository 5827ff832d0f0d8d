//! A model's folder as it lies in the repository: which versions there are, hand-made ones too, and what a command that
//! was cut off has left behind. Only reads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_inference::{ModelName, Version};

use crate::{MANIFEST_FILE, Manifest, ManifestError, RepositoryError};

/// How long an error's list may become.
const MAX_LISTED: usize = 16;

/// What is not finished, or no longer wanted. Nobody who serves models looks at hidden names.
pub const PUSHING: &str = ".push-";
pub const DELETING: &str = ".delete-";

#[derive(Clone, Debug)]
pub struct ModelFolder {
    model: ModelName,
    path: PathBuf,
}

/// What lies in a model's folder, by its name.
#[derive(Debug, Default)]
pub struct Contents {
    pub versions: BTreeMap<Version, PathBuf>,
    /// Of commands that were cut off, when nobody holds the lock.
    pub leftovers: Vec<PathBuf>,
}

impl ModelFolder {
    pub fn new(repository: &Path, model: ModelName) -> Self {
        let path = repository.join(model.as_str());
        Self { model, path }
    }

    /// A model that is there.
    ///
    /// # Errors
    /// When it is not, with the names of those that are.
    pub fn existing(repository: &Path, model: &ModelName) -> Result<Self, RepositoryError> {
        let folder = Self::new(repository, model.clone());
        if folder.is_there()? { Ok(folder) } else { Err(unknown_model(repository, model)) }
    }

    /// Every folder of the repository that holds versions or a manifest, by name. Hidden ones are none of ours.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn all(repository: &Path) -> Result<Vec<Self>, RepositoryError> {
        let mut found = Vec::new();
        for (name, _) in subfolders(repository)? {
            let Ok(model) = ModelName::new(&name) else { continue };
            let folder = Self::new(repository, model);
            if folder.is_there()? {
                found.push(folder);
            }
        }
        Ok(found)
    }

    pub fn model(&self) -> &ModelName {
        &self.model
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// As [`Manifest::read`].
    pub fn manifest(&self) -> Result<Option<Manifest>, ManifestError> {
        Manifest::read(&self.path)
    }

    /// Whether there is anything to say of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_there(&self) -> Result<bool, RepositoryError> {
        let has_manifest = self.path.join(MANIFEST_FILE).is_file();
        Ok(has_manifest || self.path.is_dir() && !self.contents()?.versions.is_empty())
    }

    /// # Errors
    /// When it cannot be read.
    pub fn contents(&self) -> Result<Contents, RepositoryError> {
        let mut contents = Contents::default();
        for (name, path) in subfolders(&self.path)? {
            if is_leftover(&name) {
                contents.leftovers.push(path);
            } else if let Ok(version) = name.parse::<Version>() {
                // `4` before `04`; whoever serves takes the first one, too.
                contents.versions.entry(version).or_insert(path);
            }
        }
        Ok(contents)
    }
}

fn is_leftover(name: &str) -> bool {
    [PUSHING, DELETING].iter().any(|start| name.starts_with(start))
}

/// Folders and links to folders, sorted by name. What is not UTF-8 is nobody's version.
fn subfolders(path: &Path) -> Result<Vec<(String, PathBuf)>, RepositoryError> {
    let failed = |error| RepositoryError::io(path, "read", error);
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if is_folder(&path) {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// A link that leads nowhere is none.
fn is_folder(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Whether anything has this name, a broken link too.
pub fn is_taken(path: &Path) -> Result<bool, io::Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn unknown_model(repository: &Path, model: &ModelName) -> RepositoryError {
    match ModelFolder::all(repository) {
        Err(error) => error,
        Ok(folders) => {
            let known: Vec<&ModelName> = folders.iter().map(ModelFolder::model).collect();
            let known = match known.as_slice() {
                [] => ", and no other model either".to_owned(),
                known => format!("; there are {}", listed(known)),
            };
            let (model, repository) = (model.clone(), repository.to_owned());
            RepositoryError::UnknownModel { model, repository, known }
        }
    }
}

pub fn listed(all: &[impl ToString]) -> String {
    if all.is_empty() {
        return "none".to_owned();
    }
    let mut shown: Vec<String> = all.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    if all.len() > MAX_LISTED {
        shown.push(format!("{} more", all.len() - MAX_LISTED));
    }
    shown.join(", ")
}
