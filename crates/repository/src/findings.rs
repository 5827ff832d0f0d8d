//! Holds a whole model against its manifest, for people who want to know what they have.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_inference::{ModelName, Version};

use crate::lock::Lock;
use crate::{Mismatch, ModelFolder, RepositoryError, Source, VersionEntry};

/// Something that is not as the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Listed, and not there.
    Missing(Version),
    /// There, and not listed.
    Extra(Version),
    Differs(Version, Mismatch),
    /// A file that was not pushed with its version.
    ExtraFile(Version, String),
    /// Something in its folder that no push brings.
    Strange(Version, String),
}

#[derive(Debug)]
pub struct Findings {
    pub model: ModelName,
    /// Versions that were looked at.
    pub versions: usize,
    pub bytes: u64,
    pub findings: Vec<Finding>,
    /// What commands that were cut off have left; the next one that writes tidies up. No fault.
    pub leftovers: Vec<PathBuf>,
}

impl ModelFolder {
    /// Reads every byte of every version. Nobody can push meanwhile, where there is a lock; so nothing is found that is
    /// only unfinished.
    ///
    /// # Errors
    /// When somebody else takes too long, or the manifest cannot be understood.
    pub fn verify(&self, wait: Duration) -> Result<Findings, RepositoryError> {
        let _lock = Lock::shared(self.path(), wait)?;
        let manifest = self.manifest()?;
        let contents = self.contents()?;
        let mut there = contents.versions;
        let entries = manifest.as_ref().map_or(&[][..], |manifest| manifest.versions());
        let mut findings = Vec::new();
        for entry in entries {
            match there.remove(&entry.version()) {
                None => findings.push(Finding::Missing(entry.version())),
                Some(folder) => findings.extend(differences(entry, &folder)),
            }
        }
        let versions = entries.len() + there.len();
        findings.extend(there.into_keys().map(Finding::Extra));
        findings.sort_by_key(Finding::version);
        let bytes = entries.iter().map(VersionEntry::size).sum();
        let (model, leftovers) = (self.model().clone(), contents.leftovers);
        Ok(Findings { model, versions, bytes, findings, leftovers })
    }
}

fn differences(entry: &VersionEntry, folder: &Path) -> Vec<Finding> {
    let version = entry.version();
    let mut findings = Vec::new();
    if let Err(mismatch) = entry.verify(folder) {
        findings.push(Finding::Differs(version, mismatch));
    }
    match Source::at(folder) {
        Ok(source) => {
            let extra = source.files().filter(|(place, _)| entry.file(place.as_str()).is_none());
            findings.extend(extra.map(|(place, _)| Finding::ExtraFile(version, place.to_string())));
        }
        // What is missing has been told.
        Err(_) if !findings.is_empty() => {}
        Err(error) => findings.push(Finding::Strange(version, error.to_string())),
    }
    findings
}

impl Finding {
    pub fn version(&self) -> Version {
        match self {
            Self::Missing(version)
            | Self::Extra(version)
            | Self::Differs(version, _)
            | Self::ExtraFile(version, _)
            | Self::Strange(version, _) => *version,
        }
    }

    /// A word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Extra(_) => "extra",
            Self::Differs(..) => "differs",
            Self::ExtraFile(..) => "extra_file",
            Self::Strange(..) => "strange",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(version) => write!(f, "version {version}: missing"),
            Self::Extra(version) => {
                write!(f, "version {version}: extra, it is not in the manifest")
            }
            Self::Differs(version, mismatch) => write!(f, "version {version}: {mismatch}"),
            Self::Strange(version, what) => write!(f, "version {version}: {what}"),
            Self::ExtraFile(version, file) => {
                write!(f, "version {version}: {file}: extra, it was not pushed with it")
            }
        }
    }
}
