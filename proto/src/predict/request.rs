//! The body of `POST /predict`, and how a sample is fitted to the model's input.

use tidegate_inference::{Dim, Shape, Signature, Tensor, TensorSpec};

use super::{PredictRequest, Samples};
use crate::json::{JsonError, Reader, Result, TensorReader, Text};
use crate::role::Role;
use crate::{DecodeError, JsonLimits};

/// Decodes a body of `POST /predict` (decompressed).
///
/// # Errors
/// When it is not JSON of this form, when a sample does not fit, or when the model has several inputs.
pub fn decode(
    body: &[u8],
    signature: &Signature,
    limits: JsonLimits,
) -> Result<PredictRequest, DecodeError> {
    let [spec] = &signature.inputs[..] else {
        return Err(DecodeError::invalid(format!(
            "/predict serves models with one input, this one has {}",
            signature.inputs.len()
        )));
    };
    read(body, spec, limits).map_err(|error| error.within("failed to parse the request body"))
}

fn read(body: &[u8], spec: &TensorSpec, limits: JsonLimits) -> Result<PredictRequest> {
    let mut reader = Reader::new(body, limits);
    let mut request = None;
    reader.object(|key, reader| {
        let samples = match key {
            "image" => Samples::One,
            "instances" => Samples::Many,
            _ => return reader.skip(),
        };
        if request.is_some() {
            return Err(JsonError::refused("expected one of 'image' or 'instances', once"));
        }
        let inputs = vec![input(reader, spec, samples)?];
        request = Some(PredictRequest { samples, inputs });
        Ok(())
    })?;
    reader.finish()?;
    request.ok_or_else(|| {
        JsonError::refused("expected {\"image\": ...} or {\"instances\": [...]}, got neither key")
    })
}

fn input(reader: &mut Reader<'_>, spec: &TensorSpec, samples: Samples) -> Result<Tensor> {
    let mut tensor = TensorReader::new(Role::Input, &spec.name, spec.datatype, Text::OrBase64);
    tensor.value(reader)?;
    let found = tensor.found_shape();
    let fitted = match samples {
        Samples::One => fit_one(&found, &spec.shape),
        Samples::Many => fit_many(&found, &spec.shape),
    };
    // What does not fit goes on as it is: the check against the signature says what was expected.
    tensor.finish_as(fitted.unwrap_or(found))
}

/// A sample alone, which becomes a batch of one.
fn fit_one(found: &[usize], spec: &[Dim]) -> Option<Shape> {
    let (batch, row) = spec.split_first()?;
    // A first dimension of fixed length may be no batch at all.
    if *batch != Dim::Dynamic && fits(found, spec) {
        return Some(Shape::new(found));
    }
    if let [1, rest @ ..] = found
        && fits(rest, row)
    {
        return Some(Shape::new(found));
    }
    Some(batch_of(1, &fit_row(found, row)?))
}

fn fit_many(found: &[usize], spec: &[Dim]) -> Option<Shape> {
    let (&samples, rest) = found.split_first()?;
    let (_, row) = spec.split_first()?;
    Some(batch_of(samples, &fit_row(rest, row)?))
}

/// The shape in which values found as `found` make up one row; dimensions of 1 do not count, and
/// a flat list of the right length will do.
fn fit_row(found: &[usize], row: &[Dim]) -> Option<Shape> {
    if fits(found, row) {
        return Some(Shape::new(found));
    }
    let fixed = row.iter().map(|dim| match dim {
        Dim::Fixed(length) => Some(*length),
        Dim::Dynamic => None,
    });
    let row: Shape = fixed.collect::<Option<_>>()?;
    let same_but_for_ones =
        found.iter().filter(|dim| **dim != 1).eq(row.iter().filter(|dim| **dim != 1));
    let flat = found.len() == 1 && row.elements() == Some(found[0]);
    (same_but_for_ones || flat).then_some(row)
}

fn fits(found: &[usize], dims: &[Dim]) -> bool {
    found.len() == dims.len()
        && found.iter().zip(dims).all(|(found, dim)| match dim {
            Dim::Fixed(length) => found == length,
            Dim::Dynamic => true,
        })
}

fn batch_of(samples: usize, row: &[usize]) -> Shape {
    std::iter::once(samples).chain(row.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{DataType, TensorData};

    use super::*;

    const OPEN: Dim = Dim::Dynamic;

    fn decode_for(shape: &[Dim], body: &str) -> Result<PredictRequest, DecodeError> {
        let spec =
            TensorSpec { name: "x".into(), datatype: DataType::Uint8, shape: shape.to_vec() };
        let signature = Signature { inputs: vec![spec], outputs: vec![] };
        decode(body.as_bytes(), &signature, JsonLimits::default())
    }

    fn shape_for(shape: &[Dim], body: &str) -> Vec<usize> {
        decode_for(shape, body).unwrap().inputs[0].shape().to_vec()
    }

    #[test]
    fn one_image_becomes_a_batch_of_one_however_it_is_nested() {
        let pixels = [OPEN, Dim::Fixed(2), Dim::Fixed(2)];
        for image in ["[[1,2],[3,4]]", "[[[1,2],[3,4]]]", "[1,2,3,4]", "[[[1],[2]],[[3],[4]]]"] {
            let request = decode_for(&pixels, &format!("{{\"image\":{image}}}")).unwrap();
            assert_eq!(request.samples, Samples::One);
            assert_eq!(**request.inputs[0].shape(), [1, 2, 2], "{image}");
            let TensorData::Fixed(bytes) = request.inputs[0].data() else { panic!("UINT8") };
            assert_eq!(**bytes, [1, 2, 3, 4]);
        }
    }

    #[test]
    fn channels_of_one_may_be_left_out() {
        let channels = [OPEN, Dim::Fixed(1), Dim::Fixed(2), Dim::Fixed(2)];
        assert_eq!(shape_for(&channels, r#"{"image":[[1,2],[3,4]]}"#), [1, 1, 2, 2]);
        assert_eq!(shape_for(&channels, r#"{"instances":[[[1,2],[3,4]]]}"#), [1, 1, 2, 2]);
    }

    #[test]
    fn instances_keep_their_number() {
        let pixels = [OPEN, Dim::Fixed(2), Dim::Fixed(2)];
        for instances in ["[[[1,2],[3,4]],[[5,6],[7,8]]]", "[[1,2,3,4],[5,6,7,8]]"] {
            let body = format!("{{\"instances\":{instances}}}");
            assert_eq!(decode_for(&pixels, &body).unwrap().samples, Samples::Many);
            assert_eq!(shape_for(&pixels, &body), [2, 2, 2], "{instances}");
        }
        assert_eq!(shape_for(&[OPEN], r#"{"instances":[1,2,3]}"#), [3]);
        assert_eq!(shape_for(&[OPEN, Dim::Fixed(1)], r#"{"instances":[1,2,3]}"#), [3, 1]);
    }

    #[test]
    fn open_dimensions_take_what_is_there() {
        assert_eq!(shape_for(&[OPEN, OPEN], r#"{"image":[1,2,3]}"#), [1, 3]);
        assert_eq!(shape_for(&[OPEN, OPEN], r#"{"image":[[1,2,3]]}"#), [1, 3]);
    }

    #[test]
    fn a_model_without_a_batch_gets_the_image_as_it_is() {
        assert_eq!(shape_for(&[Dim::Fixed(2), Dim::Fixed(1)], r#"{"image":[[1],[2]]}"#), [2, 1]);
        assert_eq!(shape_for(&[], r#"{"image":1}"#), [0_usize; 0]);
    }

    #[test]
    fn what_does_not_fit_keeps_its_shape_for_the_signature_to_refuse() {
        assert_eq!(shape_for(&[OPEN, Dim::Fixed(4)], r#"{"image":[1,2,3]}"#), [3]);
    }

    #[test]
    fn other_bodies_are_refused() {
        for (body, expected) in [
            ("", "failed to parse the request body"),
            ("{}", "got neither key"),
            (r#"{"image":[1],"instances":[[1]]}"#, "expected one of"),
            (r#"{"image":[1]} x"#, "must not be followed"),
            (r#"{"image":"x"}"#, "expected UINT8, got a string"),
        ] {
            let refused = decode_for(&[OPEN, Dim::Fixed(1)], body).unwrap_err().to_string();
            assert!(refused.contains(expected), "{body}: {refused}");
        }
        let none = Signature { inputs: vec![], outputs: vec![] };
        let refused = decode(b"{}", &none, JsonLimits::default()).unwrap_err();
        assert!(refused.to_string().contains("models with one input, this one has 0"));
    }
}
