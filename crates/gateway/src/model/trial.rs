//! Tries a version as a gateway would when it loads it: whether the engine takes it, whether it answers its samples, and
//! whether its requests may share batches.
//!
//! A gateway leaves out a sample that it cannot read, because a courtesy must not stop a version from being served. Who
//! pushes is there to mend it, so here it is a refusal.

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use hyper::body::Bytes;
use tidegate_backend::{Backend, BatchSafety, LoadOptions, Loaded, check_batch_safety};
use tidegate_control::ComputeThreads;
use tidegate_inference::{Signature, Tensor};
use tidegate_proto::JsonLimits;
use tidegate_proto::open_inference::decode_infer;
use tidegate_proto::shared_memory::NoRegions;

/// A gateway runs no more of them.
const MAX_SAMPLES: usize = 16;
const MAX_SAMPLE_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub struct Trial {
    pub signature: Signature,
    pub warnings: Vec<String>,
}

/// Blocks for as long as the engine takes.
///
/// # Errors
/// Why the version cannot be served.
pub fn run(backend: &dyn Backend, version_folder: &Path) -> Result<Trial, String> {
    let Loaded { signature, mut instances, .. } = load(backend, version_folder)?;
    let instance = instances.first_mut().ok_or("the engine loaded no instance")?;
    let mut warnings = Vec::new();
    let files = sample_files(version_folder).map_err(|error| format!("samples: {error}"))?;
    if files.len() > MAX_SAMPLES {
        let number = files.len();
        warnings.push(format!("of its {number} samples the first {MAX_SAMPLES} are used"));
    }
    let samples = files.iter().take(MAX_SAMPLES).map(|path| sample(path, &signature));
    let samples: Vec<_> = samples.collect::<Result<_, _>>()?;
    let safety = check_batch_safety(instance.as_mut(), &signature, &samples);
    if let BatchSafety::Unbatched { reason } = safety.map_err(|error| error.to_string())? {
        warnings.push(format!("it is served one request at a time, without batches: {reason}"));
    }
    Ok(Trial { signature, warnings })
}

/// What a version takes and gives, and nothing else of it.
///
/// # Errors
/// Why the engine does not load it.
pub fn signature(backend: &dyn Backend, version_folder: &Path) -> Result<Signature, String> {
    Ok(load(backend, version_folder)?.signature)
}

fn load(backend: &dyn Backend, version_folder: &Path) -> Result<Loaded, String> {
    let intra_op_threads = ComputeThreads::of_this_machine().intra_op_threads;
    let options = LoadOptions { instances: NonZeroUsize::MIN, intra_op_threads };
    backend.load(version_folder, &options).map_err(|error| error.to_string())
}

fn sample_files(version_folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(version_folder.join("samples")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The sample's inputs in the order of the signature.
fn sample(path: &Path, signature: &Signature) -> Result<Vec<Tensor>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let wrong = |reason: String| {
        format!(
            "samples/{name}: expected the body of an Open Inference Protocol infer request: {reason}"
        )
    };
    let body = read_bounded(path).map_err(|error| wrong(error.to_string()))?;
    let request =
        decode_infer(&Bytes::from(body), None, signature, JsonLimits::default(), &NoRegions)
            .map_err(|error| wrong(error.to_string()))?;
    signature.arrange(request.inputs).map_err(|error| wrong(error.to_string()))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    File::open(path)?.take(MAX_SAMPLE_BYTES + 1).read_to_end(&mut body)?;
    if body.len() as u64 > MAX_SAMPLE_BYTES {
        return Err(io::Error::other(format!("larger than {MAX_SAMPLE_BYTES} bytes")));
    }
    Ok(body)
}
