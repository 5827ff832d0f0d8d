//! What this crate's tests share: short names for short values, and a control plane over a mock engine
//! with a repository of its own.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use tempfile::TempDir;
use tidegate_backend::{Backend, LoadError, LoadOptions, Loaded, MockBackend};
use tidegate_inference::{
    Admission, Catalog, DataType, Dim, Label, ModelName, Signature, TensorSpec, Version,
    VersionState,
};
use tidegate_router::{Limits, Router, Weight};
use tidegate_telemetry::Telemetry;

use crate::{ControlConfig, ControlError, ControlPlane, ModelSettings, Weights};

pub fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

pub fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub fn model(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

pub fn weights(pairs: &[(u64, u32)]) -> Weights {
    let pairs = pairs.iter().map(|(number, weight)| (version(*number), Weight::new(*weight)));
    Weights::new(pairs.map(|(version, weight)| (version, weight.unwrap()))).unwrap()
}

/// A folder with a model repository and a state file, and what is needed to open it again and again.
pub struct Site {
    pub _folder: TempDir,
    pub config: ControlConfig,
    pub mock: MockBackend,
    /// Where loads of models that say `wait` wait.
    pub gate: Arc<Gate>,
}

/// Loads stand here until it is opened.
#[derive(Default)]
pub struct Gate {
    loads: Mutex<Loads>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
pub struct Loads {
    is_open: bool,
    inside: usize,
    pub begun: usize,
    /// At the same time, ever.
    pub most_inside: usize,
}

impl Gate {
    pub fn open(&self) {
        self.change(|loads| loads.is_open = true);
    }

    pub fn loads(&self) -> Loads {
        *self.loads.lock().unwrap()
    }

    pub fn wait_until_begun(&self, loads: usize) {
        drop(self.changed.wait_while(self.loads.lock().unwrap(), |seen| seen.begun < loads));
    }

    fn pass(&self) {
        self.change(|loads| {
            loads.begun += 1;
            loads.inside += 1;
            loads.most_inside = loads.most_inside.max(loads.inside);
        });
        drop(self.changed.wait_while(self.loads.lock().unwrap(), |seen| !seen.is_open));
        self.change(|loads| loads.inside -= 1);
    }

    fn change(&self, change: impl FnOnce(&mut Loads)) {
        change(&mut self.loads.lock().unwrap());
        self.changed.notify_all();
    }
}

/// One gateway's control plane and what it publishes into.
pub struct Opened {
    pub plane: Arc<ControlPlane>,
    pub router: Arc<Router>,
    pub telemetry: Arc<Telemetry>,
}

impl Site {
    /// Model files by path, such as `digits/1`. The engine loads all but those that say `refuse` or `panic`.
    pub fn new(versions: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = ControlConfig {
            repository: folder.path().join("repository"),
            state_file: folder.path().join("state/control.json"),
            traffic_file: None,
            allow_empty: false,
            default_model: None,
            overrides: ModelSettings::default(),
            defaults: ModelSettings::default(),
            models: [].into(),
        };
        let mock = MockBackend::echo(signature());
        let site = Self { _folder: folder, config, mock, gate: Arc::default() };
        for version in versions {
            site.write(&format!("{version}/model.onnx"), "a model");
        }
        site
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.config.repository.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn open(&self) -> Result<Opened, ControlError> {
        let telemetry = Telemetry::new();
        let router = Router::new(Limits::default());
        let backend = Arc::new(Selective(self.mock.clone(), Arc::clone(&self.gate)));
        let plane =
            ControlPlane::open(&self.config, backend, Arc::clone(&router), Arc::clone(&telemetry))?;
        Ok(Opened { plane, router, telemetry })
    }

    /// Opened, and every version tried.
    pub fn loaded(&self) -> Opened {
        let opened = self.open().unwrap();
        opened.plane.load_all();
        opened
    }
}

impl Opened {
    pub fn catalog(&self) -> Arc<Catalog> {
        self.router.catalog()
    }

    /// The states of a model's versions, in order.
    pub fn states(&self, model: &str) -> Vec<VersionState> {
        self.catalog().models[model].versions.values().map(|version| version.state).collect()
    }

    /// What the weights come to now.
    pub fn effective(&self, model: &str) -> Vec<(u64, u32)> {
        let view = self.plane.view(model).unwrap();
        view.effective.iter().map(|(version, weight)| (version.get(), *weight)).collect()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.plane.shutdown();
    }
}

pub fn signature() -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: DataType::Fp32,
        shape: vec![Dim::Dynamic, Dim::Fixed(2)],
    };
    Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
}

/// The mock refuses all versions or none; this one reads the model file to know.
struct Selective(MockBackend, Arc<Gate>);

impl Backend for Selective {
    fn platform(&self) -> &'static str {
        self.0.platform()
    }

    fn load(&self, folder: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        match fs::read_to_string(folder.join("model.onnx")).as_deref() {
            Ok("refuse") => Err(LoadError::new("as it says")),
            Ok("panic") => panic!("as it says"),
            Ok("wait") => {
                self.1.pass();
                self.0.load(folder, options)
            }
            _ => self.0.load(folder, options),
        }
    }
}
