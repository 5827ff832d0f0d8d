//! What is asked: one row at a time, as V2 JSON, the same bytes for every contender, and the answer
//! that ONNX Runtime itself gives to it.
//!
//! Rows differ from each other, so an answer that went to the wrong caller is noticed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_backend::{Backend, LoadOptions};
use tidegate_backend_ort::OrtBackend;
use tidegate_batcher::InputBuffers;
use tidegate_inference::{DataType, Shape, Tensor, TensorData};
use tidegate_loadtest::question::{Answer, Ending, Judged, Prepared, Question, ServerFacts, Wire};

use crate::Result;

const ROWS: usize = 32;
/// Relative and absolute: whoever shares the batch may move the last digits, and no more.
const TOLERANCE: f32 = 1e-3;

/// One row for a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// For those that calculate; they take [`Input::WIDTH`] values.
    Values(Vec<f32>),
    /// For the one that looks up: a row of its table.
    Index(i64),
}

/// A model, and what is asked of it.
pub struct Model {
    pub name: &'static str,
    /// Absolute.
    pub file: PathBuf,
    pub questions: Arc<[Question]>,
    pub wire: Arc<dyn Wire>,
}

impl Model {
    /// # Errors
    /// When the file is not there, or ONNX Runtime does not run it.
    pub fn load(name: &'static str, repository: &Path, backend: &OrtBackend) -> Result<Self> {
        let folder = repository.join(name).join("1");
        let file = folder.join("model.onnx").canonicalize().map_err(|error| {
            format!("{}: {error}; benches/models/make_models.py makes it", folder.display())
        })?;
        let once = LoadOptions { instances: 1.try_into()?, intra_op_threads: 1.try_into()? };
        let mut loaded = backend.load(&folder, &once)?;
        let instance = loaded.instances.first_mut().ok_or("a model is loaded at least once")?;
        let mut questions = Vec::with_capacity(ROWS);
        let input = if name == "gather" { Input::index } else { Input::noise };
        for input in (0..ROWS).map(input) {
            let expected = instance.run(&InputBuffers::default().views(&[input.tensor()?]))?;
            let request = input.request(name);
            questions.push(Question { request, rows: 1, expected: Some(expected) });
        }
        Ok(Self { name, file, questions: questions.into(), wire: Arc::new(V2Json) })
    }

    /// # Errors
    /// When it is not the right answer.
    pub fn accepts(&self, question: &Question, answer: &Answer) -> Result<()> {
        let judged = self.wire.judge(question, answer);
        match (judged.ending, judged.detail) {
            (Ending::Right, _) => Ok(()),
            (ending, detail) => Err(format!("{ending}: {}", detail.unwrap_or_default()).into()),
        }
    }
}

impl Input {
    pub const WIDTH: usize = 16;

    /// Values that look like noise, and are the same in every run.
    pub fn noise(row: usize) -> Self {
        Self::values(row, Self::WIDTH)
    }

    /// Of another width it is a row that the model cannot take.
    pub fn values(row: usize, width: usize) -> Self {
        let noise = |index| ((index * 37 * (row + 1) + index / 11 + row * 3) % 101) as f32 / 101.0;
        Self::Values((0..width).map(noise).collect())
    }

    /// An index within the table.
    pub fn index(row: usize) -> Self {
        Self::Index((row % 100) as i64)
    }

    fn tensor(&self) -> Result<Tensor> {
        let (name, datatype, bytes): (_, _, Bytes) = match self {
            Self::Values(values) => {
                ("x", DataType::Fp32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Self::Index(index) => {
                ("index", DataType::Int64, Bytes::copy_from_slice(&index.to_le_bytes()))
            }
        };
        let shape = Shape::new(&[1, self.width()]);
        Ok(Tensor::new(name, datatype, shape, TensorData::Fixed(bytes))?)
    }

    fn width(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Index(_) => 1,
        }
    }

    pub fn request(&self, model: &str) -> Prepared {
        let tensor = |name, datatype, data: Value| json!({ "name": name, "shape": [1, self.width()], "datatype": datatype, "data": data });
        let input = match self {
            Self::Values(values) => tensor("x", "FP32", json!(values)),
            Self::Index(index) => tensor("index", "INT64", json!([index])),
        };
        let json = HeaderValue::from_static("application/json");
        Prepared {
            path: format!("/v2/models/{model}/infer"),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]),
            body: Bytes::from(json!({ "inputs": [input] }).to_string()),
        }
    }
}

/// V2 answers in JSON, as far as these models' go.
struct V2Json;

#[derive(Deserialize)]
struct Document {
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    data: Vec<f32>,
}

impl Wire for V2Json {
    fn judge(&self, question: &Question, answer: &Answer) -> Judged {
        let ending = match answer.status {
            StatusCode::OK => return read(question, &answer.body),
            StatusCode::TOO_MANY_REQUESTS => Ending::Refused,
            StatusCode::SERVICE_UNAVAILABLE => Ending::Unavailable,
            StatusCode::GATEWAY_TIMEOUT => Ending::TooLate,
            status if status.is_server_error() => Ending::Failed,
            _ => Ending::Invalid,
        };
        let words = String::from_utf8_lossy(&answer.body);
        let detail = format!("{}: {}", answer.status, words.chars().take(200).collect::<String>());
        judged(ending, Some(detail))
    }
}

fn read(question: &Question, body: &[u8]) -> Judged {
    let document: Document = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(error) => return judged(Ending::Unreadable, Some(error.to_string())),
    };
    let expected = question.expected.as_deref().and_then(<[Tensor]>::first).map(Tensor::data);
    let Some(TensorData::Fixed(expected)) = expected else {
        return judged(Ending::Right, None);
    };
    let got = document.outputs.first().map_or(&[][..], |output| &output.data);
    let (expected, _) = expected.as_chunks();
    let near = |(got, expected): (&f32, f32)| {
        (got - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
    };
    let expected = expected.iter().map(|bytes| f32::from_le_bytes(*bytes));
    if got.len() == expected.len() && got.iter().zip(expected.clone()).all(near) {
        return judged(Ending::Right, None);
    }
    let expected: Vec<f32> = expected.collect();
    judged(Ending::Wrong, Some(format!("expected {expected:?}, got {got:?}")))
}

fn judged(ending: Ending, detail: Option<String>) -> Judged {
    Judged { ending, detail, server: ServerFacts::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(expected: [f32; 2]) -> Question {
        let data = expected.iter().flat_map(|value| value.to_le_bytes()).collect();
        let output =
            Tensor::new("y", DataType::Fp32, Shape::new(&[1, 2]), TensorData::Fixed(data)).unwrap();
        Question { request: Input::noise(0).request("m"), rows: 1, expected: Some(vec![output]) }
    }

    fn ending(status: u16, body: &'static str) -> Ending {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            trailers: HeaderMap::new(),
        };
        V2Json.judge(&question([0.5, 2.0]), &answer).ending
    }

    #[test]
    fn an_answer_may_differ_in_its_last_digits_and_in_nothing_else() {
        assert_eq!(ending(200, r#"{"outputs":[{"name":"y","data":[0.5,2.0001]}]}"#), Ending::Right);
        assert_eq!(ending(200, r#"{"outputs":[{"name":"y","data":[0.5,2.1]}]}"#), Ending::Wrong);
        assert_eq!(ending(200, r#"{"outputs":[{"name":"y","data":[0.5]}]}"#), Ending::Wrong);
        assert_eq!(ending(200, "{}"), Ending::Unreadable);
    }

    #[test]
    fn a_status_tells_whose_fault_it_was() {
        let statuses = [400, 422, 429, 500, 503, 504];
        let expected = [
            Ending::Invalid,
            Ending::Invalid,
            Ending::Refused,
            Ending::Failed,
            Ending::Unavailable,
            Ending::TooLate,
        ];
        assert_eq!(statuses.map(|status| ending(status, "")), expected);
    }

    #[test]
    fn no_two_rows_are_the_same() {
        for input in [Input::noise, Input::index] {
            let rows: Vec<Input> = (0..ROWS).map(input).collect();
            for (index, row) in rows.iter().enumerate() {
                assert!(!rows[..index].contains(row), "row {index} was there before");
            }
        }
    }
}
