//! A repository to write to, and what is pushed to it: no engine, so any bytes are a model.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_inference::{DataType, Dim, Label, ModelName, Signature, TensorSpec, Version};
use tidegate_repository::{
    About, Finding, ModelFolder, Presence, RepositoryError, Source, Terms, Writer,
};

pub struct Site(pub tempfile::TempDir);

impl Site {
    pub fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir(site.repository()).unwrap();
        site
    }

    pub fn repository(&self) -> PathBuf {
        self.0.path().join("repository")
    }

    pub fn model_folder(&self) -> PathBuf {
        self.repository().join("digits")
    }

    pub fn open(&self) -> Writer {
        Writer::open(&terms(&self.repository()), &digits()).unwrap()
    }

    /// A model's folder with these bytes.
    pub fn source(&self, content: &str) -> Source {
        Source::at(&source_folder(self.0.path(), content)).unwrap()
    }

    pub fn push(&self, number: u64, content: &str, labels: &[&str]) {
        push(&self.repository(), number, &self.source(content), labels).unwrap();
    }

    pub fn findings(&self) -> Vec<Finding> {
        self.folder().verify(Duration::from_secs(60)).unwrap().findings
    }

    pub fn folder(&self) -> ModelFolder {
        ModelFolder::new(&self.repository(), digits())
    }

    /// What lies in the model's folder, but for the lock.
    pub fn names(&self) -> Vec<String> {
        names(&self.model_folder())
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".versions.lock");
    names.sort();
    names
}

pub fn source_folder(root: &Path, content: &str) -> PathBuf {
    let folder = root.join("source");
    fs::create_dir_all(folder.join("samples")).unwrap();
    fs::write(folder.join("model.onnx"), content).unwrap();
    fs::write(folder.join("weights.bin"), content.repeat(1000)).unwrap();
    fs::write(folder.join("samples/one.json"), "{}").unwrap();
    folder
}

pub fn push(
    repository: &Path,
    number: u64,
    source: &Source,
    labels: &[&str],
) -> Result<(), RepositoryError> {
    let mut writer = Writer::open_or_make(&terms(repository), &digits())?;
    let about = About {
        name: None,
        labels: labels.iter().map(|label| Label::new(label).unwrap()).collect(),
        signature: signature(),
    };
    match writer.presence(version(number), source)? {
        Presence::Absent => {
            let staged = writer.stage(version(number), source)?;
            writer.publish(staged, about)?;
        }
        Presence::Same(_) => {}
        Presence::Unlisted(unlisted) => _ = writer.adopt(unlisted, about)?,
    }
    Ok(())
}

pub fn terms(repository: &Path) -> Terms {
    Terms {
        repository: repository.to_owned(),
        author: "a test".parse().unwrap(),
        wait: Duration::from_secs(60),
    }
}

pub fn digits() -> ModelName {
    ModelName::new("digits").unwrap()
}

pub fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

fn signature() -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: DataType::Fp32,
        shape: vec![Dim::Dynamic, Dim::Fixed(64)],
    };
    Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
}
