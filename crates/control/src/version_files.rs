//! The files that a version is made of, by which a changed one is known: their names, lengths and times. Looked at
//! before they are read: what is changed in between is loaded once more for nothing, and never missed.
//!
//! Not by their content: that is what a manifest is for, and it is held against the files when they are loaded.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub const MODEL_FILE: &str = "model.onnx";

/// Requests to warm up with; another one makes no other version.
const SAMPLES: &str = "samples";
/// Folders in folders.
const MAX_DEPTH: usize = 3;
const MAX_FILES: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionFiles(BTreeMap<PathBuf, Look>);

/// What a file looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    length: u64,
    modified: Option<SystemTime>,
}

impl Look {
    /// `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => {
                Ok(Some(Self { length: metadata.len(), modified: metadata.modified().ok() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl VersionFiles {
    /// # Errors
    /// Why the version cannot even be tried.
    pub fn look(version_folder: &Path) -> Result<Self, String> {
        let path = version_folder.join(MODEL_FILE);
        let unreadable = |path: &Path, error| format!("{} cannot be read: {error}", path.display());
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(format!("{} is not a file", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(format!("no {MODEL_FILE} in {}", version_folder.display()));
            }
            Err(error) => return Err(unreadable(&path, error)),
        }
        let mut found = BTreeMap::new();
        collect(version_folder, MAX_DEPTH, &mut found)
            .map_err(|error| unreadable(version_folder, error))?;
        Ok(Self(found))
    }
}

/// Hidden files are none of ours, nor is one that goes away while it is looked at.
fn collect(folder: &Path, depth: usize, found: &mut BTreeMap<PathBuf, Look>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name.to_string_lossy().starts_with('.') || name == SAMPLES {
            continue;
        }
        if path.is_dir() {
            if depth > 1 {
                collect(&path, depth - 1, found)?;
            }
        } else if let Some(look) = Look::at(&path)? {
            if found.len() == MAX_FILES {
                return Err(io::Error::other(format!("it holds more than {MAX_FILES} files")));
            }
            found.insert(path, look);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_to_any_file_of_the_version_shows_and_one_to_its_samples_does_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::create_dir_all(folder.join("samples")).unwrap();
        fs::create_dir_all(folder.join("weights")).unwrap();
        fs::write(folder.join("model.onnx"), "a").unwrap();
        fs::write(folder.join("weights/0.bin"), "a").unwrap();
        let look = || VersionFiles::look(folder).unwrap();
        let before = look();
        fs::write(folder.join("samples/one.json"), "{}").unwrap();
        fs::write(folder.join(".hidden"), "a").unwrap();
        assert_eq!(look(), before);
        fs::write(folder.join("weights/0.bin"), "ab").unwrap();
        let longer = look();
        assert_ne!(longer, before);
        fs::write(folder.join("weights/1.bin"), "").unwrap();
        assert_ne!(look(), longer);
    }
}
