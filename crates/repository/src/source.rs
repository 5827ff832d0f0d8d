//! What is pushed: a model file, or a folder with `model.onnx` and what belongs to it (external data, `samples/`).
//!
//! Links to files are followed, because caches of models are made of them; links to folders are not, because they may
//! lead anywhere. Hidden files are left where they are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::file_path::NoFilePath;
use crate::{FileEntry, FilePath, MODEL_FILE, Sha256};

/// A version is one model. Who pushes more has named the wrong folder.
const MAX_FILES: usize = 256;
/// A gateway looks no deeper for what has changed.
const MAX_DEPTH: usize = 2;

const SAMPLES: &str = "samples";

#[derive(Clone, Debug)]
pub struct Source {
    files: BTreeMap<FilePath, PathBuf>,
}

#[derive(Debug, Error)]
pub enum SourceError {
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: neither a file nor a folder", path.display())]
    Strange { path: PathBuf },
    #[error("{}: a link to a folder; push the folder itself, or copy it", path.display())]
    LinkedFolder { path: PathBuf },
    #[error("{}: {error}", path.display())]
    Name { path: PathBuf, error: NoFilePath },
    #[error("{}: expected a folder with {MODEL_FILE}, found none in it", path.display())]
    NoModel { path: PathBuf },
    #[error(
        "{}: expected a model's folder, with {MODEL_FILE}, its data and {SAMPLES}/; it holds more than {MAX_FILES} \
         files, or folders more than {MAX_DEPTH} deep",
        path.display()
    )]
    TooMuch { path: PathBuf },
    #[error("{}: expected a folder of sample requests, found no *.json in it", path.display())]
    NoSamples { path: PathBuf },
}

impl Source {
    /// # Errors
    /// When it is not there, is no model, or holds what cannot be pushed.
    pub fn at(path: &Path) -> Result<Self, SourceError> {
        let metadata = fs::metadata(path).map_err(unreadable(path))?;
        if metadata.is_file() {
            let model = FilePath::new(MODEL_FILE).expect("a plain name");
            return Ok(Self { files: [(model, path.to_owned())].into() });
        }
        if !metadata.is_dir() {
            return Err(SourceError::Strange { path: path.to_owned() });
        }
        let mut source = Self { files: BTreeMap::new() };
        source.gather(path, path, "", 0)?;
        if source.files.contains_key(MODEL_FILE) {
            return Ok(source);
        }
        Err(SourceError::NoModel { path: path.to_owned() })
    }

    /// The folder's `*.json` become the version's samples, in the place of those that it has.
    ///
    /// # Errors
    /// When there are none, or too many.
    pub fn with_samples(mut self, folder: &Path) -> Result<Self, SourceError> {
        self.files.retain(|path, _| !path.as_str().starts_with(&format!("{SAMPLES}/")));
        let others = self.files.len();
        for path in entries(folder)? {
            let is_json = path.extension().is_some_and(|extension| extension == "json");
            if is_json && path.is_file() {
                self.add(folder, path, &format!("{SAMPLES}/"))?;
            }
        }
        if self.files.len() > others {
            return Ok(self);
        }
        Err(SourceError::NoSamples { path: folder.to_owned() })
    }

    /// By their places in the version's folder, where each is now.
    pub fn files(&self) -> impl Iterator<Item = (&FilePath, &Path)> {
        self.files.iter().map(|(place, path)| (place, path.as_path()))
    }

    /// What the manifest would say of the files as they are now. Reads all of them.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn entries(&self) -> Result<Vec<FileEntry>, SourceError> {
        let entry = |(place, path): (&FilePath, &Path)| {
            let hashed = fs::File::open(path)
                .and_then(|mut file| Sha256::while_reading(&mut file, |_| Ok(())));
            let (sha256, size) = hashed.map_err(unreadable(path))?;
            Ok(FileEntry::new(place.clone(), size, sha256))
        };
        self.files().map(entry).collect()
    }

    fn gather(
        &mut self,
        root: &Path,
        folder: &Path,
        prefix: &str,
        depth: usize,
    ) -> Result<(), SourceError> {
        if depth > MAX_DEPTH {
            return Err(SourceError::TooMuch { path: root.to_owned() });
        }
        for path in entries(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
            if metadata.is_file() {
                self.add(root, path, prefix)?;
            } else if !metadata.is_dir() {
                return Err(SourceError::Strange { path });
            } else if path.is_symlink() {
                return Err(SourceError::LinkedFolder { path });
            } else {
                self.gather(root, &path, &format!("{prefix}{name}/"), depth + 1)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, root: &Path, path: PathBuf, prefix: &str) -> Result<(), SourceError> {
        // A name that is not UTF-8 becomes one that holds a replacement character, and could be lost so.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let place = FilePath::new(format!("{prefix}{name}"))
            .map_err(|error| SourceError::Name { path: path.clone(), error })?;
        self.files.insert(place, path);
        if self.files.len() > MAX_FILES {
            return Err(SourceError::TooMuch { path: root.to_owned() });
        }
        Ok(())
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let read = fs::read_dir(folder).map_err(unreadable(folder))?;
    read.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable(folder))).collect()
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SourceError {
    move |error| SourceError::Unreadable { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        root
    }

    fn places(source: &Source) -> Vec<&str> {
        source.files().map(|(place, _)| place.as_str()).collect()
    }

    #[test]
    fn a_file_of_any_name_becomes_the_model_file() {
        let root = tree(&["resnet 50.onnx"]);
        let source = Source::at(&root.path().join("resnet 50.onnx")).unwrap();
        assert_eq!(places(&source), ["model.onnx"]);
        assert_eq!(source.entries().unwrap()[0].size, 14);
    }

    #[test]
    fn a_folder_is_taken_with_all_that_is_not_hidden() {
        let root = tree(&["model.onnx", "weights.bin", "samples/a.json", ".git/config", ".lock"]);
        let blob = tree(&["blob"]);
        symlink(blob.path().join("blob"), root.path().join("linked.bin")).unwrap();
        let source = Source::at(root.path()).unwrap();
        assert_eq!(places(&source), ["linked.bin", "model.onnx", "samples/a.json", "weights.bin"]);
    }

    #[test]
    fn samples_that_are_named_take_the_place_of_those_in_the_folder() {
        let root = tree(&["model.onnx", "samples/a.json"]);
        let samples = tree(&["b.json", "notes.txt", "c.json/x"]);
        let source = Source::at(root.path()).unwrap().with_samples(samples.path()).unwrap();
        assert_eq!(places(&source), ["model.onnx", "samples/b.json"]);
        let none = tree(&["notes.txt"]);
        let error = Source::at(root.path()).unwrap().with_samples(none.path()).unwrap_err();
        assert!(error.to_string().ends_with("found no *.json in it"), "{error}");
    }

    #[test]
    fn what_cannot_be_pushed_is_named() {
        let refusal = |root: &tempfile::TempDir| Source::at(root.path()).unwrap_err().to_string();
        assert!(refusal(&tree(&["saved_model.pb"])).contains("found none in it"));
        assert!(refusal(&tree(&["model.onnx", "1/2/3/x"])).contains("folders more than"));
        let many: Vec<String> = (0..MAX_FILES).map(|number| format!("{number}.bin")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.push("model.onnx");
        assert!(refusal(&tree(&many)).contains("more than 256 files"));
        assert!(refusal(&tree(&["model.onnx", "a\\b"])).contains("expected a file's path"));
        let linking = tree(&["model.onnx"]);
        symlink("/", linking.path().join("root")).unwrap();
        assert!(refusal(&linking).contains("root: a link to a folder"));
        let gone = Source::at(Path::new("/nowhere/model.onnx")).unwrap_err().to_string();
        assert!(gone.starts_with("/nowhere/model.onnx: cannot be read"), "{gone}");
    }
}
