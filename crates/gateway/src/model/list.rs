//! `tidegate model list`: what the manifests say, beside what lies there. Waits for nobody.

use serde_json::{Value, json};
use tidegate_inference::Version;
use tidegate_repository::{
    Contents, MODEL_FILE, Manifest, ModelFolder, RepositoryError, VersionEntry,
};

use super::table::{aligned, size};
use super::{Answer, Reading};

const HEADER: [&str; 10] =
    ["model", "version", "name", "labels", "active", "size", "sha256", "pushed at", "by", "note"];

/// One model, as far as it can be told.
struct Listed {
    folder: ModelFolder,
    manifest: Option<Manifest>,
    contents: Contents,
}

/// # Errors
/// When there is no such model, or no repository.
pub fn run(reading: &Reading) -> Result<Answer, RepositoryError> {
    let mut rows = vec![HEADER.map(str::to_owned)];
    let (mut models, mut problems) = (Vec::new(), Vec::new());
    for folder in reading.folders()? {
        match Listed::read(folder) {
            Ok(listed) => {
                rows.extend(listed.versions().into_iter().map(|version| listed.row(version)));
                models.push(listed.document());
            }
            // One that cannot be understood does not hide the others.
            Err(error) => problems.push(error.to_string()),
        }
    }
    let repository = reading.place.repository.display().to_string();
    let document = json!({ "repository": repository, "models": models, "problems": problems });
    let mut answer = reading.place.answer(aligned(&rows), &document);
    answer.is_bad = !problems.is_empty();
    answer.warnings = problems;
    Ok(answer)
}

impl Reading {
    /// The one that was asked for, or all.
    pub fn folders(&self) -> Result<Vec<ModelFolder>, RepositoryError> {
        let repository = &self.place.repository;
        if !repository.is_dir() {
            return Err(RepositoryError::NoRepository(repository.clone()));
        }
        let Some(model) = &self.model else { return ModelFolder::all(repository) };
        Ok(vec![ModelFolder::existing(repository, model)?])
    }
}

impl Listed {
    fn read(folder: ModelFolder) -> Result<Self, RepositoryError> {
        // The manifest first: a version that is pushed meanwhile is then not in the manifest, rather than missing.
        let (manifest, contents) = (folder.manifest()?, folder.contents()?);
        Ok(Self { folder, manifest, contents })
    }

    fn versions(&self) -> Vec<Version> {
        let listed = self.manifest.iter().flat_map(Manifest::versions).map(VersionEntry::version);
        let mut all: Vec<Version> = listed.chain(self.contents.versions.keys().copied()).collect();
        all.sort();
        all.dedup();
        all
    }

    fn entry(&self, version: Version) -> Option<&VersionEntry> {
        self.manifest.as_ref()?.entry(version)
    }

    fn labels(&self, version: Version) -> Vec<&str> {
        let labels = self.manifest.iter().flat_map(|manifest| manifest.labels_of(version));
        labels.map(|label| label.as_str()).collect()
    }

    fn is_active(&self, version: Version) -> bool {
        let active = self.manifest.as_ref().and_then(Manifest::active);
        active.is_some_and(|active| active.version == version)
    }

    fn note(&self, version: Version) -> &'static str {
        match (self.entry(version).is_some(), self.contents.versions.contains_key(&version)) {
            (true, true) => "",
            (true, false) => "missing",
            (false, _) => "not in the manifest",
        }
    }

    fn row(&self, version: Version) -> [String; HEADER.len()] {
        let entry = self.entry(version);
        let of = |tell: &dyn Fn(&VersionEntry) -> String| entry.map(tell).unwrap_or_default();
        [
            self.folder.model().to_string(),
            version.to_string(),
            of(&|entry| entry.name().map(ToString::to_string).unwrap_or_default()),
            self.labels(version).join(","),
            if self.is_active(version) { "active".to_owned() } else { String::new() },
            of(&|entry| size(entry.size())),
            of(&|entry| entry.file(MODEL_FILE).map(|file| file.sha256.short()).unwrap_or_default()),
            of(&|entry| entry.pushed_at().to_seconds()),
            of(&|entry| entry.pushed_by().to_string()),
            self.note(version).to_owned(),
        ]
    }

    fn document(&self) -> Value {
        let versions: Vec<Value> = self
            .versions()
            .into_iter()
            .map(|version| {
                json!({
                    "version": version.get(),
                    "labels": self.labels(version),
                    "active": self.is_active(version),
                    "note": self.note(version),
                    "entry": self.entry(version),
                })
            })
            .collect();
        let manifest = self.manifest.as_ref();
        json!({
            "model": self.folder.model().as_str(),
            "revision": manifest.map(Manifest::revision),
            "active": manifest.and_then(Manifest::active),
            "previous": manifest.map_or(&[][..], Manifest::previous),
            "versions": versions,
        })
    }
}
