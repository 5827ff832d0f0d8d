//! What a version is loaded from: the files in its folder, and its model's configuration. When either is another than
//! it was, the version is loaded anew.

use std::collections::BTreeMap;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use tidegate_inference::{ModelName, Result, Version};
use tracing::warn;

use crate::{ModelConfig, TritonConfig, VersionFolder};

/// A model's versions, as they lie in the repository.
pub type Folders = BTreeMap<Version, VersionFolder>;

#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub folder: VersionFolder,
    pub config: Arc<ModelConfig>,
}

impl Source {
    /// What its configuration asks for and does not get.
    pub fn warnings(&self) -> Arc<[String]> {
        match &self.config.triton {
            Some(triton) => Arc::clone(&triton.warnings),
            None => [].into(),
        }
    }
}

/// What a model says of itself: in the `config.pbtxt` in its folder, or in what was sent instead of that.
///
/// # Errors
/// As [`TritonConfig::read`].
pub fn own_config(
    model: &ModelName,
    folder: &Path,
    sent: Option<&str>,
) -> Result<Option<Arc<TritonConfig>>> {
    let triton = match sent {
        Some(json) => Some(TritonConfig::from_json(model, folder, json)?),
        None => TritonConfig::read(model, folder)?,
    };
    for warning in triton.iter().flat_map(|triton| triton.warnings.iter()) {
        warn!(%model, "{warning}");
    }
    Ok(triton.map(Arc::new))
}

/// Leaves out the versions that the model does not want served, and gives them back.
///
/// # Errors
/// As [`TritonConfig::served`].
pub fn retain_served(triton: Option<&TritonConfig>, folders: &mut Folders) -> Result<Folders> {
    let Some(triton) = triton else { return Ok(Folders::new()) };
    let wanted = triton.served(&folders.keys().copied().collect())?;
    let all = mem::take(folders).into_iter();
    let (served, left_out) = all.partition(|(version, _)| wanted.contains(version));
    *folders = served;
    Ok(left_out)
}
