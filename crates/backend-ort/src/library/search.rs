//! Where the shared library is looked for, in which order. Knows nothing of its content.

use std::env;
use std::path::{Path, PathBuf};

use super::LibraryError;
use super::pin::{PIN, PINNED_VERSION};

/// The places to look at. Built from the environment once; plain fields, so that a test can make one up.
#[derive(Clone, Debug, Default)]
pub struct LibrarySearch {
    /// The library that the configuration or `ORT_DYLIB_PATH` names. When it is set, nothing else
    /// is looked at: quietly taking another library would hide the mistake.
    pub explicit: Option<PathBuf>,
    pub working_dir: PathBuf,
    /// The running program, when the system tells it.
    pub executable: Option<PathBuf>,
}

/// A file that exists, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    pub explicit: bool,
}

impl LibrarySearch {
    /// `configured` comes first; without it, `ORT_DYLIB_PATH`; without that, the usual places: beside
    /// the executable, and `.deps/onnxruntime/<version>/` of the working directory, of the
    /// executable's folder, and of their parents.
    pub fn from_environment(configured: Option<PathBuf>) -> Self {
        let from_variable = || env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
        Self {
            explicit: configured.or_else(|| from_variable().map(PathBuf::from)),
            working_dir: env::current_dir().unwrap_or_default(),
            executable: env::current_exe().ok(),
        }
    }

    /// # Errors
    /// [`LibraryError::Missing`] with every place that was looked at, or
    /// [`LibraryError::ExplicitMissing`].
    pub fn find(&self) -> Result<Found, LibraryError> {
        if let Some(explicit) = &self.explicit {
            let path = self.working_dir.join(explicit);
            return if path.is_file() {
                Ok(Found { path, explicit: true })
            } else {
                Err(LibraryError::ExplicitMissing { path })
            };
        }
        let looked_at = self.places();
        match looked_at.iter().find(|path| path.is_file()) {
            Some(path) => Ok(Found { path: path.clone(), explicit: false }),
            None => Err(LibraryError::Missing { file_name: file_name(), looked_at }),
        }
    }

    fn places(&self) -> Vec<PathBuf> {
        let Some(pin) = PIN else { return Vec::new() };
        let beside = self.executable.as_deref().and_then(Path::parent);
        let fetched = |folder: &Path| {
            folder.join(".deps/onnxruntime").join(PINNED_VERSION).join(pin.file_name)
        };
        let mut places: Vec<PathBuf> = Vec::new();
        places.extend(beside.map(|folder| folder.join(pin.file_name)));
        places.extend(self.working_dir.ancestors().map(fetched));
        places.extend(beside.into_iter().flat_map(Path::ancestors).map(fetched));
        let mut unique: Vec<PathBuf> = Vec::with_capacity(places.len());
        for place in places {
            if !unique.contains(&place) {
                unique.push(place);
            }
        }
        unique
    }
}

fn file_name() -> &'static str {
    PIN.map_or("libonnxruntime", |pin| pin.file_name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn search(root: &Path) -> LibrarySearch {
        LibrarySearch {
            explicit: None,
            working_dir: root.join("project/crates/x"),
            executable: Some(root.join("bin/tidegate")),
        }
    }

    fn touch(path: &Path) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
        path.to_owned()
    }

    #[test]
    fn an_explicit_library_is_the_only_place() {
        let root = tempfile::tempdir().unwrap();
        let beside = touch(&root.path().join("bin").join(file_name()));
        let mut search = search(root.path());
        assert_eq!(search.find().unwrap(), Found { path: beside, explicit: false });

        search.explicit = Some("lib/mine.so".into());
        let error = search.find().unwrap_err().to_string();
        assert!(error.contains("project/crates/x/lib/mine.so does not exist"), "{error}");

        let mine = touch(&search.working_dir.join("lib/mine.so"));
        assert_eq!(search.find().unwrap(), Found { path: mine, explicit: true });
    }

    #[test]
    fn a_parent_of_the_working_directory_may_hold_the_fetched_library() {
        let root = tempfile::tempdir().unwrap();
        let folder = format!("project/.deps/onnxruntime/{PINNED_VERSION}");
        let fetched = touch(&root.path().join(folder).join(file_name()));
        assert_eq!(search(root.path()).find().unwrap().path, fetched);
    }

    #[test]
    fn a_missing_library_names_itself_every_place_and_the_mending_command() {
        let root = tempfile::tempdir().unwrap();
        let error = search(root.path()).find().unwrap_err().to_string();
        for part in [file_name(), "bin/", "project/.deps/onnxruntime/", "make onnxruntime"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}
