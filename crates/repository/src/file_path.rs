//! Where a file lies inside its version's folder: `model.onnx`, `samples/one.json`.
//!
//! It comes from a manifest that anybody may have edited and is joined to a folder, so it cannot climb out of that: no
//! absolute paths, no `..`. Nor is it hidden: hidden names are what lies there unfinished.

use std::borrow::Borrow;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const MAX_BYTES: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

/// Why a text is no path of a file in a version's folder.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected a file's path inside its version's folder, such as model.onnx, without hidden names and of at most \
     {MAX_BYTES} bytes, got {0:?}"
)]
pub struct NoFilePath(String);

impl FilePath {
    /// # Errors
    /// When it could leave the folder, names something hidden, or is too long.
    pub fn new(text: impl Into<String>) -> Result<Self, NoFilePath> {
        let text = text.into();
        let is_plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && !name.contains(|c: char| c == '\\' || c.is_control())
        };
        if text.len() <= MAX_BYTES && text.split('/').all(is_plain) {
            Ok(Self(text))
        } else {
            Err(NoFilePath(text.chars().take(80).collect()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn within(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for FilePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FilePath {
    type Error = NoFilePath;

    fn try_from(text: String) -> Result<Self, NoFilePath> {
        Self::new(text)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside_its_folder() {
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "a/../../b",
            "a//b",
            "a/",
            "./a",
            ".hidden",
            "a\\b",
            "a\nb",
            &"x".repeat(1025),
        ] {
            assert!(FilePath::new(bad).is_err(), "{bad:?}");
        }
        for good in ["model.onnx", "samples/one.json", "ünï/weights 1.bin", "a..b"] {
            assert_eq!(FilePath::new(good).unwrap().as_str(), good);
        }
    }
}
