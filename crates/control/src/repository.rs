//! Finds the models: `<repository>/<model>/<version>/model.onnx`, the layout of Triton and TensorFlow
//! Serving. Looks only at names and kinds of files; whether a model can be loaded is the backend's
//! to say.
//!
//! Symbolic links are followed, because mounted volumes are often made of them. A numeric folder
//! that holds no model is a version all the same, a faulty one: whoever copied it there half wants
//! to hear of it.
//!
//! Looked at as a whole at start and by the watch, and at one model whenever that is to be loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_inference::{ModelName, Version};
use tracing::warn;

use crate::source::Folders;
use crate::version_files::{MODEL_FILE, VersionFiles};
use crate::weights::listed;

#[derive(Debug)]
pub struct Repository {
    pub path: PathBuf,
    /// Each with at least one version.
    pub models: BTreeMap<ModelName, Folders>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionFolder {
    pub path: PathBuf,
    /// Why it cannot even be tried, or else what it is made of.
    pub files: Result<VersionFiles, String>,
}

#[derive(Debug, Error)]
pub enum RepositoryError {
    #[error("model repository {}: cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error(
        "model repository {}: no models found, expected <model>/<version>/{MODEL_FILE}{hint}",
        path.display()
    )]
    Empty { path: PathBuf, hint: &'static str },
}

/// All of the repository at one moment.
#[derive(Debug, Default)]
pub struct RepositoryLook {
    /// Each with at least one version.
    pub models: BTreeMap<ModelName, Folders>,
    /// Their folders are there and cannot be read, so nothing is known of their versions.
    pub unreadable: BTreeSet<ModelName>,
    /// What was left out, and why, a sentence each.
    pub ignored: Vec<String>,
}

impl Repository {
    /// # Errors
    /// When the folder cannot be read or holds no model. A model folder that cannot be read, or
    /// without versions, is left out with a warning.
    pub fn scan(path: &Path) -> Result<Self, RepositoryError> {
        let found = Self::look(path)?;
        found.ignored.iter().for_each(|ignored| warn!("{ignored}"));
        if found.models.is_empty() {
            return Err(Self::empty(path));
        }
        Ok(Self { path: path.to_owned(), models: found.models })
    }

    /// As `scan`, of a repository into which models may come later.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn scan_empty(path: &Path) -> Result<Self, RepositoryError> {
        match Self::scan(path) {
            Err(error @ RepositoryError::Empty { .. }) => {
                warn!(%error, "not ready until a model comes");
                Ok(Self { path: path.to_owned(), models: BTreeMap::new() })
            }
            other => other,
        }
    }

    /// # Errors
    /// When the folder cannot be read.
    pub fn look(path: &Path) -> Result<RepositoryLook, RepositoryError> {
        let mut found = RepositoryLook::default();
        let folders = subfolders(path, &mut found.ignored)
            .map_err(|error| RepositoryError::Unreadable { path: path.to_owned(), error })?;
        for folder in folders {
            found.take_in(&folder);
        }
        Ok(found)
    }

    fn empty(path: &Path) -> RepositoryError {
        let folders = subfolders(path, &mut Vec::new()).unwrap_or_default();
        let is_a_model = folders.iter().any(|folder| folder.name.parse::<Version>().is_ok());
        let hint = if is_a_model {
            "; this folder holds versions, so it is a model itself: name its parent"
        } else {
            ""
        };
        RepositoryError::Empty { path: path.to_owned(), hint }
    }

    /// One model's versions as they are now. `None`: it has no folder, or one without versions.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn versions_of(repository: &Path, model: &ModelName) -> io::Result<Option<Folders>> {
        let folder = repository.join(model.as_str());
        if !folder.is_dir() {
            return Ok(None);
        }
        let mut ignored = Vec::new();
        let versions = versions_in(subfolders(&folder, &mut ignored)?, &mut ignored);
        ignored.iter().for_each(|ignored| warn!("{ignored}"));
        Ok(Some(versions).filter(|versions| !versions.is_empty()))
    }

    /// The models' names, for messages.
    pub fn names(&self) -> String {
        listed(self.models.keys())
    }
}

impl RepositoryLook {
    fn take_in(&mut self, folder: &Subfolder) {
        let path = folder.path.display();
        let name = match ModelName::new(&folder.name) {
            Ok(name) => name,
            Err(error) => return self.ignored.push(format!("{path}: ignored: {error}")),
        };
        match subfolders(&folder.path, &mut self.ignored) {
            Ok(subfolders) => {
                let versions = versions_in(subfolders, &mut self.ignored);
                if versions.is_empty() {
                    let why = "it has no version folders (1, 2, ...)";
                    self.ignored.push(format!("{path}: model folder ignored: {why}"));
                } else {
                    self.models.insert(name, versions);
                }
            }
            Err(error) => {
                let why = "it cannot be read";
                self.ignored.push(format!("{path}: model folder ignored: {why}: {error}"));
                self.unreadable.insert(name);
            }
        }
    }
}

struct Subfolder {
    name: String,
    path: PathBuf,
}

/// Folders and links to folders, by name. Hidden ones and files are none of ours.
fn subfolders(path: &Path, ignored: &mut Vec<String>) -> io::Result<Vec<Subfolder>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            ignored.push(format!("{}: ignored: its name is not UTF-8", path.display()));
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => found.push(Subfolder { name, path }),
            Ok(_) => {}
            Err(error) => {
                let why = "a broken link, or unreadable";
                ignored.push(format!("{}: ignored: {why}: {error}", path.display()));
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Version folders are positive integers, and others none of ours.
fn versions_in(folders: Vec<Subfolder>, ignored: &mut Vec<String>) -> Folders {
    let mut versions = Folders::new();
    for Subfolder { name, path } in folders {
        let Ok(version) = name.parse::<Version>() else { continue };
        if let Some(first) = versions.get(&version) {
            let (path, first) = (path.display(), first.path.display());
            ignored.push(format!("{path}: ignored: {first} is version {version} already"));
            continue;
        }
        let files = VersionFiles::look(&path);
        versions.insert(version, VersionFolder { path, files });
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a repository of the given files (empty ones) and folders (with a slash at the end).
    fn tree(paths: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let full = root.path().join(path);
            if path.ends_with('/') {
                fs::create_dir_all(full).unwrap();
            } else {
                fs::create_dir_all(full.parent().unwrap()).unwrap();
                fs::write(full, "").unwrap();
            }
        }
        root
    }

    fn versions(repository: &Repository, model: &str) -> Vec<u64> {
        repository.models[model].keys().map(|version| version.get()).collect()
    }

    #[test]
    fn only_positive_integer_folders_are_versions() {
        let root = tree(&[
            "digits/1/model.onnx",
            "digits/10/model.onnx",
            "digits/2/model.onnx",
            "digits/0/model.onnx",
            "digits/v3/model.onnx",
            "digits/.4/model.onnx",
            "digits/5",
            "README.md",
            ".git/1/model.onnx",
        ]);
        let found = Repository::scan(root.path()).unwrap();
        assert_eq!(found.names(), "digits");
        assert_eq!(versions(&found, "digits"), [1, 2, 10]);
    }

    #[test]
    fn a_version_without_its_model_file_is_found_and_faulty() {
        let root = tree(&["m/1/model.onnx", "m/2/", "m/3/model.onnx/"]);
        let found = Repository::scan(root.path()).unwrap();
        let fault = |number| found.models["m"][&Version::new(number).unwrap()].files.clone().err();
        assert_eq!(fault(1), None);
        assert_eq!(
            fault(2),
            Some(format!("no model.onnx in {}", root.path().join("m/2").display()))
        );
        assert!(fault(3).unwrap().ends_with("m/3/model.onnx is not a file"));
    }

    #[test]
    fn one_model_is_looked_at_again() {
        let root = tree(&["m/1/model.onnx", "empty/", "file"]);
        let look = |name: &str| {
            Repository::versions_of(root.path(), &ModelName::new(name).unwrap()).unwrap()
        };
        let before = look("m").unwrap();
        assert_eq!(look("m").unwrap(), before);
        fs::write(root.path().join("m/1/model.onnx"), "longer").unwrap();
        assert_ne!(look("m").unwrap(), before);
        fs::create_dir(root.path().join("m/2")).unwrap();
        assert_eq!(look("m").unwrap().len(), 2);
        for none in ["empty", "file", "gone"] {
            assert_eq!(look(none), None, "{none}");
        }
    }

    #[test]
    fn one_version_in_two_folders_is_taken_once() {
        let root = tree(&["m/1/model.onnx", "m/01/model.onnx"]);
        let found = Repository::scan(root.path()).unwrap();
        let version = &found.models["m"][&Version::new(1).unwrap()];
        assert_eq!(version.path, root.path().join("m/01"));
    }

    #[test]
    fn models_without_versions_are_left_out_and_the_others_stay() {
        let root = tree(&["empty/", "bad:name/1/model.onnx", "good/1/model.onnx"]);
        assert_eq!(Repository::scan(root.path()).unwrap().names(), "good");
    }

    #[test]
    fn an_empty_or_missing_repository_is_an_error_that_names_it() {
        let root = tree(&[]);
        let empty = Repository::scan(root.path()).unwrap_err().to_string();
        assert!(empty.contains(root.path().to_str().unwrap()), "{empty}");
        assert!(empty.contains("no models found"), "{empty}");

        let missing = Repository::scan(&root.path().join("nowhere")).unwrap_err().to_string();
        assert!(missing.contains("nowhere: cannot be read"), "{missing}");

        let file = tree(&["file"]);
        assert!(matches!(
            Repository::scan(&file.path().join("file")),
            Err(RepositoryError::Unreadable { .. })
        ));
    }

    #[test]
    fn a_model_given_as_the_repository_gets_a_hint() {
        let root = tree(&["digits/1/model.onnx"]);
        let error = Repository::scan(&root.path().join("digits")).unwrap_err().to_string();
        assert!(error.ends_with("name its parent"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_broken_ones_left_out() {
        use std::os::unix::fs::symlink;
        let root = tree(&["store/digits/1/model.onnx", "repository/"]);
        let repository = root.path().join("repository");
        symlink(root.path().join("store/digits"), repository.join("digits")).unwrap();
        symlink(root.path().join("gone"), repository.join("broken")).unwrap();
        let found = Repository::scan(&repository).unwrap();
        assert_eq!(found.names(), "digits");
        assert_eq!(versions(&found, "digits"), [1]);
    }
}
