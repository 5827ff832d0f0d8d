//! The model repository as it is written to: `<repository>/<model>/<version>/`, and beside the versions the model's
//! manifest, `versions.json`, which says what each of them is and which one takes the traffic.
//!
//! Whoever serves models only reads: [`Manifest::read`] and [`VersionEntry::verify`]. Whether a model can be loaded is
//! the engine's to say, and not known here.

pub mod durable_file;
mod file_path;
mod manifest;
mod serial;
mod sha256;
mod stamp;
mod timestamp;
mod verify;

pub use file_path::FilePath;
pub use manifest::{
    Activation, FileEntry, MANIFEST_FILE, MODEL_FILE, Manifest, ManifestError, VersionEntry,
};
pub use sha256::Sha256;
pub use stamp::{Author, ReleaseName, Stamp};
pub use timestamp::Timestamp;
pub use verify::{Difference, Mismatch};
