//! Sample requests that come with a version: `<version>/samples/*.json`, each the body of an Open
//! Inference Protocol v2 infer request. They warm the version up and tell whether its requests may
//! share batches.
//!
//! A sample is a courtesy, so a broken one is named in a warning and left out; the version is served.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tidegate_inference::{Signature, Tensor};
use tidegate_proto::JsonLimits;
use tidegate_proto::open_inference::decode_infer;
use tidegate_proto::shared_memory::NoRegions;
use tracing::warn;

/// More would make loading slow and tell nothing new.
const MAX_SAMPLES: usize = 16;

/// Inputs in the order of the signature; samples by file name.
pub fn read(version_folder: &Path, signature: &Signature) -> Vec<Vec<Tensor>> {
    let folder = version_folder.join("samples");
    let files = match json_files(&folder) {
        Ok(files) => files,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(path = %folder.display(), %error, "sample requests cannot be read");
            }
            return Vec::new();
        }
    };
    files
        .into_iter()
        .filter_map(|path| {
            read_one(&path, signature)
                .inspect_err(|error| warn!(path = %path.display(), %error, "sample left out"))
                .ok()
        })
        .take(MAX_SAMPLES)
        .collect()
}

fn json_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_one(path: &Path, signature: &Signature) -> Result<Vec<Tensor>, String> {
    let body = fs::read(path).map(Bytes::from).map_err(|error| error.to_string())?;
    let request = decode_infer(&body, None, signature, JsonLimits::default(), &NoRegions)
        .map_err(|error| error.to_string())?;
    signature.arrange(request.inputs).map_err(|error| error.to_string())
}
