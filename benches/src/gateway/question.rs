//! One request as its bytes go over the wire, with the answer that it must get.

use std::io::Write;

use serde_json::{Value, json};
use tidegate_inference::{Tensor, TensorData};

use super::client::Ask;
use crate::Result;

/// Relative and absolute: whoever shares the batch may move the last digits, and no more.
const TOLERANCE: f32 = 1e-3;

pub struct Question {
    request: Vec<u8>,
    expected: Expected,
}

/// How the right answer is told. The small models' check is a search for a few bytes: parsing every
/// answer would cost the client more than sending the request does.
pub enum Expected {
    /// Of a classifier: JSON in which this text stands.
    Text(String),
    /// JSON whose first output holds these values.
    Json(Vec<f32>),
    /// A body that ends in these values, little-endian.
    Binary(Vec<f32>),
}

impl Question {
    /// V2 with JSON tensors. `data` as JSON, because numbers can be written in more than one way.
    pub fn json(path: &str, input: &Tensor, data: &Value, expected: Expected) -> Result<Self> {
        let mut tensor = described(input);
        tensor["data"] = data.clone();
        let body = json!({ "inputs": [tensor] }).to_string();
        let headers = "content-type: application/json\r\n";
        Ok(Self { request: post(path, headers, &[body.as_bytes()])?, expected })
    }

    /// V2 with the binary tensor extension, both ways.
    pub fn binary(path: &str, input: &Tensor, expected: Expected) -> Result<Self> {
        let TensorData::Fixed(data) = input.data() else {
            return Err("a tensor of strings is not asked for here".into());
        };
        let mut tensor = described(input);
        tensor["parameters"] = json!({ "binary_data_size": data.len() });
        let parameters = json!({ "binary_data_output": true });
        let head = json!({ "inputs": [tensor], "parameters": parameters }).to_string();
        let headers = format!(
            "content-type: application/octet-stream\r\ninference-header-content-length: {}\r\n",
            head.len()
        );
        Ok(Self { request: post(path, &headers, &[head.as_bytes(), data])?, expected })
    }
}

fn described(input: &Tensor) -> Value {
    json!({
        "name": **input.name(),
        "shape": input.shape().to_vec(),
        "datatype": input.datatype().name(),
    })
}

fn post(path: &str, headers: &str, body: &[&[u8]]) -> Result<Vec<u8>> {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let mut request = Vec::new();
    write!(request, "POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}")?;
    write!(request, "content-length: {length}\r\n\r\n")?;
    for part in body {
        request.extend_from_slice(part);
    }
    Ok(request)
}

impl Ask for Question {
    fn request(&self) -> &[u8] {
        &self.request
    }

    fn accepts(&self, body: &[u8]) -> bool {
        match &self.expected {
            Expected::Text(text) => {
                body.windows(text.len()).any(|window| window == text.as_bytes())
            }
            Expected::Json(values) => first_output(body).is_some_and(|got| are_near(&got, values)),
            Expected::Binary(values) => {
                let Some(start) = body.len().checked_sub(values.len() * size_of::<f32>()) else {
                    return false;
                };
                are_near(&floats(&body[start..]), values)
            }
        }
    }
}

fn first_output(body: &[u8]) -> Option<Vec<f32>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let data = answer["outputs"][0]["data"].as_array()?;
    data.iter().map(|value| value.as_f64().map(|value| value as f32)).collect()
}

fn are_near(got: &[f32], expected: &[f32]) -> bool {
    let near = |(got, expected): (&f32, &f32)| {
        (got - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
    };
    got.len() == expected.len() && got.iter().zip(expected).all(near)
}

/// Little-endian values.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks();
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate_inference::{DataType, Shape};

    use super::*;

    fn input() -> Tensor {
        let data = TensorData::Fixed(Bytes::from_static(&[0, 0, 128, 63]));
        Tensor::new("x", DataType::Fp32, Shape::new(&[1, 1]), data).unwrap()
    }

    #[test]
    fn a_binary_request_ends_in_its_tensor() {
        let question = Question::binary("/p", &input(), Expected::Binary(Vec::new())).unwrap();
        assert!(question.request.ends_with(&[b'}', 0, 0, 128, 63]));
    }

    #[test]
    fn an_answer_may_differ_in_its_last_digits_and_in_nothing_else() {
        let question =
            Question::json("/p", &input(), &json!([1]), Expected::Json(vec![0.5, 2.0])).unwrap();
        assert!(question.accepts(br#"{"outputs":[{"data":[0.5,2.0001]}]}"#));
        assert!(!question.accepts(br#"{"outputs":[{"data":[0.5,2.1]}]}"#));
        assert!(!question.accepts(br#"{"outputs":[{"data":[0.5]}]}"#));
        assert!(!question.accepts(b"{}"));
    }
}
