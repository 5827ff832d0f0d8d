//! Holds the files of a version against what the manifest says of them.
//!
//! Sizes first: they cost nothing, and most damage is a copy that was cut short. Only then every byte is read.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::{FilePath, Sha256, VersionEntry};

/// So many differences are told; a folder that is wholly another one has told enough by then.
const MAX_TOLD: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    Missing { file: FilePath },
    Size { file: FilePath, expected: u64, found: u64 },
    Hash { file: FilePath, expected: Sha256, found: Sha256 },
    Unreadable { file: FilePath, reason: String },
}

/// What is not as the manifest says; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(Vec<Difference>);

impl Mismatch {
    pub fn differences(&self) -> &[Difference] {
        &self.0
    }

    fn of(differences: Vec<Difference>) -> Result<(), Self> {
        if differences.is_empty() { Ok(()) } else { Err(Self(differences)) }
    }
}

impl VersionEntry {
    /// Whether every file is there and has its size. Reads no content.
    ///
    /// # Errors
    /// What differs.
    pub fn check_sizes(&self, version_folder: &Path) -> Result<(), Mismatch> {
        let differences = self.files().iter().filter_map(|entry| {
            let found = match fs::metadata(entry.path.within(version_folder)) {
                Ok(metadata) if metadata.is_file() => metadata.len(),
                Ok(_) => return Some(unreadable(&entry.path, "not a file")),
                Err(error) => return Some(failed(&entry.path, &error)),
            };
            (found != entry.size).then(|| Difference::Size {
                file: entry.path.clone(),
                expected: entry.size,
                found,
            })
        });
        Mismatch::of(differences.collect())
    }

    /// Whether every file is there with the bytes that were pushed. Reads all of them when the sizes fit. Files that
    /// the manifest does not name are not looked at.
    ///
    /// # Errors
    /// What differs.
    pub fn verify(&self, version_folder: &Path) -> Result<(), Mismatch> {
        self.check_sizes(version_folder)?;
        let differences = self.files().iter().filter_map(|entry| {
            let found = match Sha256::of_file(&entry.path.within(version_folder)) {
                Ok(found) => found,
                Err(error) => return Some(failed(&entry.path, &error)),
            };
            (found != entry.sha256).then(|| Difference::Hash {
                file: entry.path.clone(),
                expected: entry.sha256,
                found,
            })
        });
        Mismatch::of(differences.collect())
    }
}

fn failed(file: &FilePath, error: &io::Error) -> Difference {
    match error.kind() {
        io::ErrorKind::NotFound => Difference::Missing { file: file.clone() },
        _ => unreadable(file, error),
    }
}

fn unreadable(file: &FilePath, reason: impl fmt::Display) -> Difference {
    Difference::Unreadable { file: file.clone(), reason: reason.to_string() }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { file } => write!(f, "{file}: missing"),
            Self::Size { file, expected, found } => {
                write!(f, "{file}: size {found}, expected {expected} bytes")
            }
            Self::Hash { file, expected, found } => {
                write!(f, "{file}: sha256 {found}, expected {expected}")
            }
            Self::Unreadable { file, reason } => write!(f, "{file}: cannot be read: {reason}"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().take(MAX_TOLD).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{difference}")?;
        }
        match self.0.len().checked_sub(MAX_TOLD) {
            Some(more @ 1..) => write!(f, "; and {more} more"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Mismatch {}
