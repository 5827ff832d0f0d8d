//! The answer of `POST /predict`: which output is the prediction, and which class it says.

use bytes::Bytes;
use tidegate_inference::{DataType, Error, Result, Tensor};

use super::Samples;
use crate::json::{TextForm, write_element, write_item, write_json, write_nested};
use crate::values;

/// `outputs`: all outputs of the model, in its order.
///
/// # Errors
/// When the model has no output, or not the rows that were asked for.
pub fn encode(samples: Samples, outputs: &[Tensor]) -> Result<Bytes> {
    let scores =
        scores(outputs).ok_or_else(|| Error::internal("the model answered without any output"))?;
    let rows = match (samples, scores.shape().first()) {
        (Samples::Many, Some(rows)) => *rows,
        (Samples::Many, None) => {
            return Err(Error::invalid(format!(
                "output '{}' has no rows: send one sample as {{\"image\": ...}}",
                scores.name()
            )));
        }
        (Samples::One, _) => 1,
    };
    let classes = Classes::of(outputs, scores, rows);
    let mut out = b"{\"predictions\":".to_vec();
    match samples {
        Samples::Many => write_nested(&mut out, scores, TextForm::Plain),
        Samples::One if scores.shape().first() == Some(&1) => {
            write_item(&mut out, scores, 0, TextForm::Plain);
        }
        // No batch dimension: the whole output is the one row.
        Samples::One => write_nested(&mut out, scores, TextForm::Plain),
    }
    out.extend_from_slice(b",\"class\":");
    match samples {
        Samples::One => classes.write(&mut out, 0),
        Samples::Many => {
            out.push(b'[');
            for row in 0..rows {
                if row > 0 {
                    out.push(b',');
                }
                classes.write(&mut out, row);
            }
            out.push(b']');
        }
    }
    out.push(b'}');
    Ok(out.into())
}

enum Classes<'a> {
    /// The model says so itself.
    Labels(&'a Tensor),
    /// The place of the largest of a row's numbers.
    Largest { numbers: Vec<f64>, row_length: usize },
    /// Neither labels nor numbers.
    Unknown,
}

impl<'a> Classes<'a> {
    fn of(outputs: &'a [Tensor], scores: &Tensor, rows: usize) -> Self {
        if let Some(labels) = labels(outputs, rows) {
            return Self::Labels(labels);
        }
        match values::numbers(scores) {
            Some(numbers) => {
                let row_length = numbers.len().checked_div(rows).unwrap_or(0);
                Self::Largest { numbers, row_length }
            }
            None => Self::Unknown,
        }
    }

    fn write(&self, out: &mut Vec<u8>, row: usize) {
        match self {
            Self::Labels(labels) => write_element(out, labels, row),
            Self::Largest { numbers, row_length } => {
                let row = &numbers[row * row_length..][..*row_length];
                write_json(out, &values::ranking(row).first());
            }
            Self::Unknown => out.extend_from_slice(b"null"),
        }
    }
}

fn scores(outputs: &[Tensor]) -> Option<&Tensor> {
    let is_float = |tensor: &&Tensor| {
        matches!(
            tensor.datatype(),
            DataType::Fp16 | DataType::Bf16 | DataType::Fp32 | DataType::Fp64
        )
    };
    let floats = || outputs.iter().filter(is_float);
    floats()
        .find(|output| is_called(output, &["prob", "score", "predict", "softmax"]))
        .or_else(|| floats().next())
        .or_else(|| outputs.first())
}

fn labels(outputs: &[Tensor], rows: usize) -> Option<&Tensor> {
    let is_label = |tensor: &&Tensor| {
        let discrete = !matches!(
            tensor.datatype(),
            DataType::Bool | DataType::Fp16 | DataType::Bf16 | DataType::Fp32 | DataType::Fp64
        );
        discrete && tensor.elements() == rows
    };
    let discrete = || outputs.iter().filter(is_label);
    discrete().find(|output| is_called(output, &["label", "class"])).or_else(|| discrete().next())
}

fn is_called(tensor: &Tensor, words: &[&str]) -> bool {
    let name = tensor.name().to_ascii_lowercase();
    words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{Shape, TensorData};

    use super::*;

    fn fp32(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let data = TensorData::Fixed(bytes.into());
        Tensor::new(name, DataType::Fp32, Shape::new(shape), data).unwrap()
    }

    fn int64(name: &str, shape: &[usize], values: &[i64]) -> Tensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let data = TensorData::Fixed(bytes.into());
        Tensor::new(name, DataType::Int64, Shape::new(shape), data).unwrap()
    }

    fn text(name: &str, strings: &[&'static str]) -> Tensor {
        let data = TensorData::Strings(strings.iter().map(|text| Bytes::from(*text)).collect());
        Tensor::new(name, DataType::Bytes, Shape::new(&[strings.len()]), data).unwrap()
    }

    #[test]
    fn without_labels_the_class_is_the_place_of_the_largest() {
        let one = [fp32("y", &[1, 3], &[0.25, 0.5, 0.125])];
        assert_eq!(
            encode(Samples::One, &one).unwrap(),
            r#"{"predictions":[0.25,0.5,0.125],"class":1}"#
        );
        let two = [fp32("y", &[2, 2], &[0.0, 1.0, f32::NAN, -1.0])];
        assert_eq!(
            encode(Samples::Many, &two).unwrap(),
            r#"{"predictions":[[0.0,1.0],[NaN,-1.0]],"class":[1,1]}"#
        );
    }

    #[test]
    fn labels_of_the_model_are_the_classes() {
        let outputs = [
            int64("count", &[2], &[9, 9]),
            int64("output_label", &[2, 1], &[7, 3]),
            fp32("logits", &[2, 1], &[0.5, 1.5]),
            fp32("probabilities", &[2, 2], &[0.0, 1.0, 1.0, 0.0]),
        ];
        assert_eq!(
            encode(Samples::Many, &outputs).unwrap(),
            r#"{"predictions":[[0.0,1.0],[1.0,0.0]],"class":[7,3]}"#
        );
        let named = [text("animal", &["cat"]), fp32("y", &[1, 2], &[1.0, 0.0])];
        assert_eq!(
            encode(Samples::One, &named).unwrap(),
            r#"{"predictions":[1.0,0.0],"class":"cat"}"#
        );
    }

    #[test]
    fn a_model_that_only_says_the_class_predicts_the_class() {
        assert_eq!(
            encode(Samples::One, &[int64("y", &[1], &[4])]).unwrap(),
            r#"{"predictions":4,"class":4}"#
        );
        assert_eq!(
            encode(Samples::One, &[text("y", &["a", "b"])]).unwrap(),
            r#"{"predictions":["a","b"],"class":null}"#
        );
    }

    #[test]
    fn outputs_without_a_batch_dimension_are_one_row() {
        assert_eq!(
            encode(Samples::One, &[fp32("y", &[2], &[1.0, 2.0])]).unwrap(),
            r#"{"predictions":[1.0,2.0],"class":1}"#
        );
        assert_eq!(
            encode(Samples::One, &[fp32("y", &[], &[1.0])]).unwrap(),
            r#"{"predictions":1.0,"class":0}"#
        );
        assert!(encode(Samples::Many, &[fp32("y", &[], &[1.0])]).is_err());
        assert!(encode(Samples::One, &[]).is_err());
    }

    #[test]
    fn no_samples_have_no_classes_and_empty_rows_none_either() {
        assert_eq!(
            encode(Samples::Many, &[fp32("y", &[0, 3], &[])]).unwrap(),
            r#"{"predictions":[],"class":[]}"#
        );
        assert_eq!(
            encode(Samples::Many, &[fp32("y", &[2, 0], &[])]).unwrap(),
            r#"{"predictions":[[],[]],"class":[null,null]}"#
        );
    }
}
