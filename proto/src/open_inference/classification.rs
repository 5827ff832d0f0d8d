//! The classification extension: instead of an output, the best few of its elements in each row, as
//! `"value:index"`. There are no label files here, so no third part.

use bytes::Bytes;
use tidegate_inference::{DataType, Error, Result, Shape, Tensor, TensorData};

use crate::json::write_element;
use crate::values;

/// The first dimension is the batch when there are several; all others together are the classes.
pub(super) fn classify(output: &Tensor, wanted: usize) -> Result<Tensor> {
    let name = output.name();
    let Some(numbers) = values::numbers(output) else {
        return Err(Error::invalid(format!(
            "output '{name}': classification needs numbers, the output is {}",
            output.datatype()
        )));
    };
    let rows = if output.shape().len() > 1 { output.shape()[0] } else { 1 };
    let classes = numbers.len().checked_div(rows).unwrap_or(0);
    let best = wanted.min(classes);
    let mut strings = Vec::with_capacity(rows * best);
    if best > 0 {
        for (row, scores) in numbers.chunks_exact(classes).enumerate() {
            let places = values::ranking(scores).into_iter().take(best);
            strings.extend(
                places.map(|class| entry(output, row * classes + class, scores[class], class)),
            );
        }
    }
    let shape =
        if output.shape().len() > 1 { Shape::new(&[rows, best]) } else { Shape::new(&[best]) };
    Tensor::new(name.clone(), DataType::Bytes, shape, TensorData::Strings(strings))
}

/// Floats with six decimals, as Triton's `std::to_string` writes them; integers as they are.
fn entry(output: &Tensor, element: usize, value: f64, class: usize) -> Bytes {
    let float = matches!(
        output.datatype(),
        DataType::Fp16 | DataType::Bf16 | DataType::Fp32 | DataType::Fp64
    );
    let mut text = Vec::new();
    if float {
        text.extend_from_slice(format!("{value:.6}").as_bytes());
    } else {
        write_element(&mut text, output, element);
    }
    text.extend_from_slice(format!(":{class}").as_bytes());
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(shape: &[usize], values: &[f32], wanted: usize) -> (Shape, Vec<Bytes>) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let data = TensorData::Fixed(bytes.into());
        let output = Tensor::new("y", DataType::Fp32, Shape::new(shape), data).unwrap();
        let answer = classify(&output, wanted).unwrap();
        let TensorData::Strings(strings) = answer.data() else { panic!("BYTES") };
        (answer.shape().clone(), strings.clone())
    }

    #[test]
    fn each_row_gets_its_best_classes_from_the_largest_down() {
        let (shape, strings) = classes(&[2, 3], &[0.25, 0.5, 0.125, 3.0, 1.0, 2.0], 2);
        assert_eq!(shape, Shape::new(&[2, 2]));
        assert_eq!(strings, ["0.500000:1", "0.250000:0", "3.000000:0", "2.000000:2"]);
    }

    #[test]
    fn more_classes_than_there_are_means_all_and_no_rows_means_none() {
        assert_eq!(classes(&[2], &[1.0, 2.0], usize::MAX).1, ["2.000000:1", "1.000000:0"]);
        assert_eq!(classes(&[0, 3], &[], 2), (Shape::new(&[0, 0]), vec![]));
        assert_eq!(classes(&[2, 0], &[], 2), (Shape::new(&[2, 0]), vec![]));
    }

    #[test]
    fn integers_stay_integers_and_text_is_refused() {
        let data = TensorData::Fixed(i64::MAX.to_le_bytes().to_vec().into());
        let output = Tensor::new("y", DataType::Int64, Shape::new(&[1]), data).unwrap();
        let data = TensorData::Strings(vec![Bytes::from("9223372036854775807:0")]);
        assert_eq!(*classify(&output, 1).unwrap().data(), data);
        let data = TensorData::Strings(vec![Bytes::new()]);
        let text = Tensor::new("y", DataType::Bytes, Shape::new(&[1]), data).unwrap();
        assert!(classify(&text, 1).is_err());
    }
}
