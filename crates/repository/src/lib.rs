//! The model repository as it is written to: `<repository>/<model>/<version>/`, and beside the versions the model's
//! manifest, `versions.json`, which says what each of them is and which one takes the traffic.
//!
//! Whoever serves models only reads: [`Manifest::read`] and [`VersionEntry::verify`]. Whoever changes one holds a
//! [`Writer`]; `writer` says what a crash leaves. Whether a model can be loaded is the engine's to say, and not known
//! here.

mod contract;
pub mod durable_file;
mod error;
mod file_path;
mod findings;
mod lock;
mod manifest;
mod model_folder;
mod push;
mod serial;
mod sha256;
mod source;
mod stamp;
mod timestamp;
mod verify;
mod writer;

pub use contract::ContractChange;
pub use error::RepositoryError;
pub use file_path::FilePath;
pub use findings::{Finding, Findings};
pub use lock::LockError;
pub use manifest::{
    Activation, FileEntry, MANIFEST_FILE, MODEL_FILE, Manifest, ManifestError, VersionEntry,
};
pub use model_folder::{Contents, ModelFolder};
pub use push::{About, Forerunner, Presence, Staged, Unlisted};
pub use sha256::Sha256;
pub use source::{Source, SourceError};
pub use stamp::{Author, ReleaseName, Stamp};
pub use timestamp::Timestamp;
pub use verify::{Difference, Mismatch};
pub use writer::{Terms, Writer};
