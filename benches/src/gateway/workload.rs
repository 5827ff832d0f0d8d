//! What is asked: a model, its requests and the right answers to them.
//!
//! digits       the demo, V2 JSON: small, so the gateway's own cost is what shows
//! heavy        seven layers of 2048, V2 JSON: a batch costs little more than a row
//! orientation  a real convolutional network on images, V2 binary: compute-bound from the first row

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;
use tidegate_backend::LoadOptions;
use tidegate_backend_ort::OrtBackend;
use tidegate_inference::{DataType, Dim, Shape, Tensor, TensorData, TensorSpec};

use super::question::{Expected, Question, floats};
use super::raw::Raw;
use crate::Result;

/// Different rows for each generated model, so that an answer to the wrong caller is noticed.
const GENERATED_ROWS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    Digits,
    Heavy,
    Orientation,
}

#[derive(Debug, clap::Args)]
pub struct Folders {
    /// Where the demo lies
    #[arg(long, value_name = "FOLDER", default_value = "examples/digits")]
    demo: PathBuf,
    /// The repository that benches/models/make_models.py wrote
    #[arg(long, value_name = "FOLDER", default_value = ".deps/bench-models")]
    bench_models: PathBuf,
}

pub struct Workload {
    pub model: &'static str,
    pub version: u64,
    /// How requests and answers are written.
    pub wire: &'static str,
    pub repository: PathBuf,
    pub questions: Vec<Question>,
    /// The questions' inputs, for the model alone.
    pub rows: Vec<Tensor>,
    pub raw: Raw,
}

impl Workload {
    pub fn load(
        name: Name,
        folders: &Folders,
        backend: &OrtBackend,
        options: &LoadOptions,
    ) -> Result<Self> {
        let (model, version, wire, repository) = match name {
            Name::Digits => ("digits", 2, "JSON", folders.demo.join("repository")),
            Name::Heavy => ("heavy", 1, "JSON", folders.bench_models.clone()),
            Name::Orientation => ("orientation", 1, "binary", folders.bench_models.clone()),
        };
        let folder = repository.join(model).join(version.to_string());
        let raw = Raw::load(backend, &folder, options)
            .map_err(|error| format!("{}: {error}; `make bench` makes it", folder.display()))?;
        let mut workload =
            Self { model, version, wire, repository, questions: Vec::new(), rows: Vec::new(), raw };
        match name {
            Name::Digits => workload.ask_digits(&folders.demo.join("samples"))?,
            Name::Heavy | Name::Orientation => workload.ask_generated()?,
        }
        Ok(workload)
    }

    fn path(&self) -> String {
        format!("/v2/models/{}/versions/{}/infer", self.model, self.version)
    }

    fn input(&self) -> Result<TensorSpec> {
        match &self.raw.signature.inputs[..] {
            [input] if input.datatype == DataType::Fp32 => Ok(input.clone()),
            _ => Err(format!("{}: expected one input, of FP32", self.model).into()),
        }
    }

    /// The committed handwritten digits, with the labels that are committed beside them.
    fn ask_digits(&mut self, samples: &Path) -> Result<()> {
        const FILE: &str = "batch.v2.json";
        let request = read_json(&samples.join(FILE))?;
        let expected = read_json(&samples.join("expected.json"))?;
        let (data, labels) = (&request["inputs"][0]["data"], &expected[FILE]);
        let (Some(data), Some(labels)) = (data.as_array(), labels.as_array()) else {
            return Err(format!("{FILE} and its labels are not as they were").into());
        };
        let spec = self.input()?;
        for (pixels, label) in data.chunks(data.len() / labels.len().max(1)).zip(labels) {
            let values: Option<Vec<f32>> =
                pixels.iter().map(|pixel| Some(pixel.as_f64()? as f32)).collect();
            let row = row(&spec, &values.ok_or("a pixel is not a number")?)?;
            let expected = Expected::Text(format!(r#""data":[{label}]"#));
            let data = Value::from(pixels);
            self.questions.push(Question::json(&self.path(), &row, &data, expected)?);
            self.rows.push(row);
        }
        Ok(())
    }

    /// Rows that look like noise and are the same in every run; the model itself says what is right.
    fn ask_generated(&mut self) -> Result<()> {
        let spec = self.input()?;
        let length = spec.shape.iter().fold(1, |length, dim| match dim {
            Dim::Fixed(dim) => length * dim,
            Dim::Dynamic => length,
        });
        for seed in 1..=GENERATED_ROWS {
            let noise = |index| ((index * 37 * seed + index / 11) % 101) as f32 / 101.0;
            let values: Vec<f32> = (0..length).map(noise).collect();
            let row = row(&spec, &values)?;
            let outputs = self.raw.answer(std::slice::from_ref(&row))?;
            let expected = match outputs.first().map(Tensor::data) {
                Some(TensorData::Fixed(bytes)) => floats(bytes),
                _ => return Err(format!("{}: expected an output of FP32", self.model).into()),
            };
            self.questions.push(match self.wire {
                "binary" => Question::binary(&self.path(), &row, Expected::Binary(expected))?,
                _ => {
                    let data = Value::from(values);
                    Question::json(&self.path(), &row, &data, Expected::Json(expected))?
                }
            });
            self.rows.push(row);
        }
        Ok(())
    }
}

fn row(spec: &TensorSpec, values: &[f32]) -> Result<Tensor> {
    let dims = spec.shape.iter().map(|dim| match dim {
        Dim::Fixed(dim) => *dim,
        Dim::Dynamic => 1,
    });
    let bytes: Bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape: Shape = dims.collect();
    Ok(Tensor::new(spec.name.clone(), spec.datatype, shape, TensorData::Fixed(bytes))?)
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}
