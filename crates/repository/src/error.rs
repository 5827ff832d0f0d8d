//! Why something cannot be done in the model repository. Each says what is wrong, where, and where it is known what to
//! do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_inference::{ModelName, Version};

use crate::lock::LockError;
use crate::{ManifestError, Mismatch, ReleaseName, SourceError};

#[derive(Debug, Error)]
pub enum RepositoryError {
    #[error("{}: cannot be {doing}: {error}", path.display())]
    Io { path: PathBuf, doing: &'static str, error: io::Error },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("model repository {}: not a folder", .0.display())]
    NoRepository(PathBuf),
    #[error("model '{model}': there is none in {}{known}", repository.display())]
    UnknownModel { model: ModelName, repository: PathBuf, known: String },
    #[error("model '{model}': there is no version {version}; there are {known}")]
    UnknownVersion { model: ModelName, version: Version, known: String },
    #[error(
        "model '{model}' version {version}: it is not in the manifest; take it in with `tidegate model push {model} \
         {} --version {version}`",
        folder.display()
    )]
    Unlisted { model: ModelName, version: Version, folder: PathBuf },
    #[error(
        "model '{model}' version {version}: it is not as it was pushed: {mismatch}; delete it (--force if it is in use) \
         and push it again"
    )]
    Damaged { model: ModelName, version: Version, mismatch: Mismatch },
    #[error(
        "model '{model}' version {version}: it exists, and with other content ({difference}); versions do not change: \
         push another one, or delete this one first"
    )]
    Taken { model: ModelName, version: Version, difference: String },
    #[error("model '{model}': the name '{name}' is version {version}'s already")]
    NameTaken { model: ModelName, name: ReleaseName, version: Version },
    #[error("model '{model}': there is no version number above {highest}; say one with --version")]
    NoNumberLeft { model: ModelName, highest: Version },
    #[error("model '{model}' version {version}: {used}; --force deletes it all the same")]
    InUse { model: ModelName, version: Version, used: String },
    #[error("model '{model}': no earlier activation is left to go back to")]
    NothingBefore { model: ModelName },
    #[error("{}: it changed while it was copied; push it again when it is complete", path.display())]
    Changed { path: PathBuf },
    #[error(
        "{}: what was read back is not what was written: the disk or the memory of this machine is faulty",
        path.display()
    )]
    Faulty { path: PathBuf },
}

impl RepositoryError {
    pub(crate) fn io(path: &Path, doing: &'static str, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, error }
    }
}
