//! Every datatype goes in and comes out with the same bytes.

use bytes::Bytes;
use tidegate_backend::Loaded;
use tidegate_batcher::InputBuffers;
use tidegate_inference::{DataType, Dim, ErrorKind, Shape, Tensor, TensorData, TensorSpec};

use super::{backend, load};

/// `rows` times three elements that use the datatype's whole width.
fn sample(spec: &TensorSpec, rows: usize) -> Tensor {
    let elements = rows * 3;
    let data = match spec.datatype.size() {
        None => TensorData::Strings(
            (0..elements)
                .map(|element| match element % 3 {
                    0 => Bytes::new(),
                    1 => Bytes::from_static("grüße".as_bytes()),
                    _ => Bytes::from_static(b"\xff\0\xfe binary"),
                })
                .collect(),
        ),
        Some(size) => {
            let byte = |index: usize| match spec.datatype {
                DataType::Bool => (index % 2) as u8,
                _ => (index * 37 + 11) as u8,
            };
            TensorData::Fixed((0..elements * size).map(byte).collect())
        }
    };
    Tensor::new(spec.name.clone(), spec.datatype, Shape::new(&[rows, 3]), data)
        .expect("three elements a row")
}

#[test]
fn all_datatypes_are_echoed_bit_for_bit() {
    let Some(backend) = backend() else { return };
    let Loaded { signature, mut instances, .. } = load(&backend, "echo").unwrap();
    let mut seen: Vec<DataType> = signature.inputs.iter().map(|spec| spec.datatype).collect();
    seen.sort_by_key(|datatype| datatype.name());
    let mut all = DataType::ALL.to_vec();
    all.sort_by_key(|datatype| datatype.name());
    assert_eq!(seen, all);
    assert!(signature.inputs.iter().all(|spec| spec.shape == [Dim::Dynamic, Dim::Fixed(3)]));

    let mut buffers = InputBuffers::default();
    for rows in [2, 0, 5] {
        let inputs: Vec<Tensor> = signature.inputs.iter().map(|spec| sample(spec, rows)).collect();
        let outputs = instances[0].run(&buffers.views(&inputs)).unwrap();
        assert_eq!(outputs.len(), inputs.len());
        for (input, output) in inputs.iter().zip(&outputs) {
            assert_eq!(input.data(), output.data(), "{} {rows}", input.name());
            assert_eq!(input.shape(), output.shape());
            assert_eq!(input.name().replace("in_", "out_"), **output.name());
        }
    }
}

#[test]
fn an_output_outlives_its_session() {
    let Some(backend) = backend() else { return };
    let Loaded { signature, mut instances, .. } = load(&backend, "echo_fp32").unwrap();
    let input = sample(&signature.inputs[0], 4);
    let outputs =
        instances[0].run(&InputBuffers::default().views(std::slice::from_ref(&input))).unwrap();
    drop(instances);
    drop(backend);
    assert_eq!(outputs[0].data(), input.data());
}

#[test]
fn a_run_that_fails_is_the_models_error_and_the_next_one_works() {
    let Some(backend) = backend() else { return };
    let Loaded { mut instances, .. } = load(&backend, "picky").unwrap();
    let mut run = |index: i64| {
        let data = TensorData::Fixed(index.to_le_bytes().to_vec().into());
        let input = Tensor::new("x", DataType::Int64, Shape::new(&[1, 1]), data).unwrap();
        instances[0].run(&InputBuffers::default().views(&[input]))
    };
    assert_eq!(run(8).unwrap_err().error().kind(), ErrorKind::ModelFailed);
    assert!(run(7).is_ok());
}
