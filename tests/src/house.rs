//! A gateway in this process, on mock engines: port 0, a repository and a state of its own, gone when dropped.
//!
//! Its model is `m`, with FP32 `x` and `y` of `[rows, 2]`. Version 1 (`blue`) answers 2x + 1, version 2
//! (`green`) answers -x, so an answer tells who gave it. Each version has its own mock, to be held, failed
//! and asked for its runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_backend::{Backend, LoadError, LoadOptions, Loaded, MockBackend};
use tidegate_batcher::{TensorView, ViewData};
use tidegate_control::ModelSettings;
use tidegate_gateway::{Config, Gateway, Running};
use tidegate_inference::{
    DataType, Dim, Error, Label, ModelName, Signature, Tensor, TensorData, TensorSpec, Version,
};

use crate::client::{Answer, Client};
use crate::scrape::Scrape;
use crate::wire::Row;

/// One mock for each version.
#[derive(Clone)]
pub struct Engines {
    pub blue: MockBackend,
    pub green: MockBackend,
}

impl Engines {
    pub fn new() -> Self {
        Self {
            blue: MockBackend::affine(signature()),
            green: MockBackend::new(signature(), |inputs| Ok(vec![negated(&inputs[0])?])),
        }
    }

    pub fn answer(version: u64, row: Row) -> Row {
        if version == 1 { row.map(|x| 2.0 * x + 1.0) } else { row.map(|x| -x) }
    }
}

impl Backend for Engines {
    fn platform(&self) -> &'static str {
        self.blue.platform()
    }

    fn load(&self, folder: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
        let engine = if folder.ends_with("1") { &self.blue } else { &self.green };
        engine.load(folder, options)
    }
}

pub struct House {
    pub running: Running,
    /// Of the data port.
    pub address: SocketAddr,
    pub client: Client,
    pub folder: TempDir,
}

impl House {
    /// Started and ready; all traffic goes to blue.
    pub async fn ready(engines: &Engines) -> Self {
        Self::ready_with(engines, |_| {}).await
    }

    pub async fn ready_with(engines: &Engines, change: impl FnOnce(&mut Config)) -> Self {
        let house = Self::starting_with(engines, change).await;
        house.until_ready().await;
        house
    }

    /// Started, and perhaps still loading.
    pub async fn starting(engines: &Engines) -> Self {
        Self::starting_with(engines, |_| {}).await
    }

    pub async fn starting_with(engines: &Engines, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        change(&mut config);
        let running = Gateway::start(config, Arc::new(engines.clone())).await.unwrap();
        let address = running.data().unwrap();
        Self { running, address, client: Client::new(), folder }
    }

    pub fn data(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.admin)
    }

    pub async fn set_weights(&self, weights: Value) -> Answer {
        let url = self.admin("/admin/v1/models/m/weights");
        self.client.put(&url, &json!({ "weights": weights })).await.expect(200)
    }

    pub async fn scrape(&self) -> Scrape {
        Scrape::of(self.client.get(&self.admin("/metrics")).await.expect(200).text())
    }

    /// Asks until the metrics say so. Each round is an answered request: there is nothing to sleep for, and
    /// the test's own time limit is the bound.
    pub async fn until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) {
        let asked = async { while !holds(&self.scrape().await) {} };
        let patience = std::time::Duration::from_secs(30);
        assert!(tokio::time::timeout(patience, asked).await.is_ok(), "never: {what}");
    }

    pub async fn until_queued(&self, requests: f64) {
        let queued = |scrape: &Scrape| scrape.sum("tidegate_queue_depth", &[]) == requests;
        self.until(&format!("{requests} requests in the queue"), queued).await;
    }

    pub async fn until_ready(&self) {
        let url = self.admin("/readyz");
        let asked = async { while self.client.get(&url).await.status != 200 {} };
        let patience = std::time::Duration::from_secs(30);
        assert!(tokio::time::timeout(patience, asked).await.is_ok(), "never ready");
    }
}

/// Waits, on a thread that may block, until so many runs stand at the gate of a held engine.
pub async fn until_held(engine: &MockBackend, runs: usize) {
    let engine = engine.clone();
    tokio::task::spawn_blocking(move || engine.wait_until_held(runs)).await.unwrap();
}

/// One instance of each version: with its one run held, whatever comes later waits in the queue.
pub fn one_instance(config: &mut Config) {
    of_model(config).instances = Some(count(1));
}

pub fn of_model(config: &mut Config) -> &mut ModelSettings {
    config.control.models.values_mut().next().expect("the house has one model")
}

pub fn count(number: usize) -> std::num::NonZeroUsize {
    number.try_into().unwrap()
}

fn config(folder: &Path) -> Config {
    for version in ["1", "2"] {
        let version = folder.join("repository/m").join(version);
        std::fs::create_dir_all(&version).unwrap();
        std::fs::write(version.join("model.onnx"), "").unwrap();
    }
    let mut config = Config::new(folder.join("repository"), &folder.join("state"));
    config.data = vec!["127.0.0.1:0".parse().unwrap()];
    config.admin_address.set_port(0);
    // Tests that copy versions in say when they are to be looked at.
    config.poll_interval = None;
    let mut model = config.control.defaults.clone();
    for (label, version) in [("blue", 1), ("green", 2)] {
        let (name, version) = (Label::new(label).unwrap(), Version::new(version).unwrap());
        model.labels.get_or_insert_default().insert(name, version);
    }
    model.weights = Some([("blue".parse().unwrap(), 1)].into());
    config.control.models.insert(ModelName::new("m").unwrap(), model);
    config
}

fn signature() -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: DataType::Fp32,
        shape: vec![Dim::Dynamic, Dim::Fixed(2)],
    };
    Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
}

fn negated(view: &TensorView<'_>) -> Result<Tensor, Error> {
    let ViewData::Fixed(bytes) = &view.data else {
        return Err(Error::internal("the signature says FP32"));
    };
    let values = bytes.as_chunks().0.iter().map(|x| -f32::from_le_bytes(*x));
    let bytes = values.flat_map(f32::to_le_bytes).collect();
    Tensor::new("y", view.datatype, view.shape.clone(), TensorData::Fixed(bytes))
}
