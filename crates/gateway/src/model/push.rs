//! `tidegate model push`: copies a version to where nobody looks, tries the copy, holds it against the contract of the
//! model it joins, and only then makes it a version. What is tried is what will be served, byte for byte.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use thiserror::Error;
use tidegate_backend::Backend;
use tidegate_backend_ort::{LibraryError, LibrarySearch, OrtBackend, OrtRuntime};
use tidegate_inference::{Label, ModelName, Signature, Version};
use tidegate_repository::{
    About, ContractChange, Forerunner, MODEL_FILE, Presence, ReleaseName, RepositoryError, Source,
    SourceError, VersionEntry, Writer,
};

use super::table::{count, size};
use super::trial::{self, Trial};
use super::{Answer, Writing, model_name, version};

#[derive(Debug, Args)]
pub struct Push {
    /// The model; it is made if it is new
    #[arg(value_parser = model_name)]
    model: ModelName,
    /// An ONNX file, or a folder with model.onnx and what belongs to it
    #[arg(value_name = "FILE|FOLDER")]
    path: PathBuf,
    /// Its number [default: the one after the highest]
    #[arg(long, value_name = "N", value_parser = version)]
    version: Option<Version>,
    /// What people call it, such as v1.0.0
    #[arg(long, value_name = "TEXT", value_parser = str::parse::<ReleaseName>)]
    name: Option<ReleaseName>,
    /// Let this label name it; may be given more than once
    #[arg(long = "label", value_name = "LABEL", value_parser = label)]
    labels: Vec<Label>,
    /// Sample requests (*.json) for the version's samples/
    #[arg(long, value_name = "FOLDER")]
    samples: Option<PathBuf>,
    /// Push it even if it breaks the contract of the version that is active, or the newest
    #[arg(long)]
    allow_contract_change: bool,
    /// ONNX Runtime's shared library [env: ORT_DYLIB_PATH]
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    #[command(flatten)]
    writing: Writing,
}

#[derive(Debug, Error)]
pub enum PushError {
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("{}: it cannot be served, so it was not pushed: {reason}", path.display())]
    NotServed { path: PathBuf, reason: String },
    #[error(
        "{}: it breaks the contract of model '{model}' version {version}, so it was not pushed:\n  {}\n\
         callers of that version would fail; --allow-contract-change pushes it all the same",
        path.display(),
        breaks.join("\n  ")
    )]
    Contract { path: PathBuf, model: ModelName, version: Version, breaks: Vec<String> },
}

/// How it went.
struct Pushed {
    outcome: Outcome,
    entry: VersionEntry,
    warnings: Vec<String>,
}

#[derive(Clone, Copy)]
enum Outcome {
    Pushed,
    Unchanged,
    Adopted,
}

impl Push {
    pub fn run(&self) -> Result<Answer, PushError> {
        let mut source = Source::at(&self.path)?;
        if let Some(samples) = &self.samples {
            source = source.with_samples(samples)?;
        }
        let mut writer = Writer::open_or_make(&self.writing.terms(), &self.model)?;
        let version = self.version.map_or_else(|| writer.next_version(), Ok)?;
        if let Some(name) = &self.name {
            writer.check_name(name, version)?;
        }
        let pushed = self.push(&mut writer, version, &source)?;
        Ok(self.answer(&writer, pushed))
    }

    fn push(
        &self,
        writer: &mut Writer,
        version: Version,
        source: &Source,
    ) -> Result<Pushed, PushError> {
        let (outcome, entry, warnings) = match writer.presence(version, source)? {
            Presence::Absent => {
                let backend = self.backend()?;
                let staged = writer.stage(version, source)?;
                let trial = self.tried(&backend, writer, version, staged.folder())?;
                let entry = writer.publish(staged, self.about(trial.signature))?;
                (Outcome::Pushed, entry.clone(), trial.warnings)
            }
            Presence::Unlisted(unlisted) => {
                let backend = self.backend()?;
                let trial = self.tried(&backend, writer, version, unlisted.folder())?;
                let entry = writer.adopt(unlisted, self.about(trial.signature))?;
                (Outcome::Adopted, entry.clone(), trial.warnings)
            }
            Presence::Same(entry) => {
                writer.label(&self.labels, &entry)?;
                let warnings = self.renames(&entry).into_iter().collect();
                (Outcome::Unchanged, entry, warnings)
            }
        };
        Ok(Pushed { outcome, entry, warnings })
    }

    fn backend(&self) -> Result<OrtBackend, LibraryError> {
        let search = LibrarySearch::from_environment(self.onnxruntime.clone());
        Ok(OrtBackend::new(OrtRuntime::open(&search)?))
    }

    fn about(&self, signature: Signature) -> About {
        About { name: self.name.clone(), labels: self.labels.clone(), signature }
    }

    fn tried(
        &self,
        backend: &dyn Backend,
        writer: &Writer,
        version: Version,
        folder: &Path,
    ) -> Result<Trial, PushError> {
        let path = || self.path.clone();
        let mut trial = trial::run(backend, folder).map_err(|reason| {
            // The engine speaks of the copy; whoever pushes knows the original.
            let copy = folder.join(MODEL_FILE).display().to_string();
            let reason = reason.replace(&copy, &self.path.display().to_string());
            PushError::NotServed { path: path(), reason }
        })?;
        let Some(forerunner) = writer.forerunner(version)? else { return Ok(trial) };
        let (before, signature) = match forerunner {
            Forerunner::Listed(entry) => (entry.version(), entry.signature().clone()),
            Forerunner::Unlisted(before, folder) => match trial::signature(backend, &folder) {
                Ok(signature) => (before, signature),
                Err(reason) => {
                    trial.warnings.push(format!(
                        "version {before} cannot be loaded, so its contract was not looked at: {reason}"
                    ));
                    return Ok(trial);
                }
            },
        };
        let change = ContractChange::between(before, &signature, &trial.signature);
        if !change.breaks.is_empty() && !self.allow_contract_change {
            let (model, breaks) = (self.model.clone(), change.breaks);
            return Err(PushError::Contract { path: path(), model, version: before, breaks });
        }
        trial.warnings.extend(change.breaks.into_iter().chain(change.notes));
        Ok(trial)
    }

    fn renames(&self, entry: &VersionEntry) -> Option<String> {
        let name = self.name.as_ref().filter(|name| entry.name() != Some(name))?;
        Some(match entry.name() {
            Some(kept) => format!("it keeps the name '{kept}'; '{name}' was not given to it"),
            None => format!("it was pushed without a name; '{name}' was not given to it"),
        })
    }

    fn answer(&self, writer: &Writer, pushed: Pushed) -> Answer {
        let Pushed { outcome, entry, warnings } = pushed;
        let (model, number) = (&self.model, entry.version());
        let active = writer.manifest().active();
        let is_active = active.is_some_and(|active| active.version == number);
        let labels: Vec<&str> =
            writer.manifest().labels_of(number).map(|label| label.as_str()).collect();
        let document = json!({
            "model": model.as_str(),
            "version": number.get(),
            "outcome": outcome.word(),
            "labels": labels,
            "active": is_active,
            "warnings": warnings,
            "entry": entry,
        });
        let name = entry.name().map(|name| format!(" ({name})")).unwrap_or_default();
        let line = format!(
            "{model}: version {number}{name} {}: {} in {}{}",
            outcome.sentence(),
            size(entry.size()),
            count(entry.files().len(), "file"),
            if is_active { "; it is active" } else { "" },
        );
        let mut answer = self.writing.answer(line, &document);
        if !self.writing.place.json {
            let told = |warning| format!("warning: {model} version {number}: {warning}");
            answer.warnings = warnings.into_iter().map(told).collect();
        }
        answer
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Unchanged => "unchanged",
            Self::Adopted => "adopted",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Pushed => "is pushed",
            Self::Unchanged => "is there already, with the same content",
            Self::Adopted => "was there already and is in the manifest now",
        }
    }
}

fn label(text: &str) -> Result<Label, String> {
    Label::new(text).map_err(|error| error.message().to_owned())
}
