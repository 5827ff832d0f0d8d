//! What the batch-safety check says of each fixture.

use std::num::NonZeroUsize;
use std::path::Path;

use tidegate_backend::{Backend, BatchSafety, LoadOptions, Loaded, check_batch_safety};
use tidegate_backend_ort::OrtBackend;
use tidegate_batcher::InputAxis::{self, Rows, Shared};
use tidegate_batcher::RowLayout;
use tidegate_inference::{DataType, Shape, Tensor, TensorData};

use super::{backend, load};

fn check(backend: &OrtBackend, model: &str, samples: &[Vec<Tensor>]) -> BatchSafety {
    let Loaded { signature, mut instances, .. } = load(backend, model).expect(model);
    check_batch_safety(&mut *instances[0], &signature, samples).expect(model)
}

#[test]
fn models_whose_rows_stand_alone_are_batched_along_their_own_axes() {
    let Some(backend) = backend() else { return };
    let expected: [(&str, &[InputAxis], &[usize]); 14] = [
        ("affine", &[Rows(0)], &[0, 0]),
        ("renamed", &[Rows(0)], &[0, 0]),
        ("off_by_one", &[Rows(0)], &[0, 0]),
        ("retyped", &[Rows(0)], &[0, 0]),
        ("one_more", &[Rows(0)], &[0, 0, 0]),
        ("external_data", &[Rows(0)], &[0, 0]),
        ("echo_fp32", &[Rows(0)], &[0]),
        ("echo_string", &[Rows(0)], &[0]),
        ("shared_scalar", &[Rows(0), Shared], &[0]),
        ("shared_vector", &[Rows(0), Shared], &[0]),
        ("axis1_state", &[Rows(0), Rows(1)], &[0, 1]),
        ("rows_out_axis1", &[Rows(0)], &[1]),
        ("odd_names", &[Rows(0), Rows(0)], &[0, 0, 0]),
        ("text_bytes", &[Rows(0)], &[0, 0]),
    ];
    for (model, inputs, outputs) in expected {
        let found = check(&backend, model, &[]);
        let BatchSafety::Batched(layout) = found else { panic!("{model}: {found:?}") };
        assert_eq!((&layout.inputs[..], &layout.outputs[..]), (inputs, outputs), "{model}");
    }
    for (model, tensors) in [("echo", 14), ("echo_json", 12)] {
        let found = check(&backend, model, &[]);
        let BatchSafety::Batched(layout) = found else { panic!("{model}: {found:?}") };
        assert_eq!(layout.inputs, vec![Rows(0); tensors], "{model}");
        assert_eq!(layout.outputs, vec![0; tensors], "{model}");
    }
}

#[test]
fn every_version_of_the_demo_is_batched() {
    let Some(backend) = backend() else { return };
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits/repository/digits");
    for version in ["1", "2", "3"] {
        let one = NonZeroUsize::MIN;
        let options = LoadOptions { instances: one, intra_op_threads: one };
        let Loaded { signature, mut instances, .. } =
            backend.load(&Path::new(demo).join(version), &options).expect(version);
        let found = check_batch_safety(&mut *instances[0], &signature, &[]);
        let layout = RowLayout { inputs: vec![Rows(0)], outputs: vec![0, 0] };
        assert_eq!(found, Ok(BatchSafety::Batched(layout)), "version {version}");
    }
}

#[test]
fn models_whose_rows_depend_on_each_other_are_not_batched_and_say_why() {
    let Some(backend) = backend() else { return };
    let expected = [
        ("fixed_batch", "its batch dimension is fixed at 1"),
        ("no_batch", "no input has a dynamic dimension"),
        ("time_axis", "answers depend on who shares the batch: output 'y': element"),
        ("cross_row", "answers depend on who shares the batch: output 'y': element"),
        ("dynamic_int8", "answers depend on who shares the batch: output 'y': element"),
        ("reshape_batch1", "it fails when requests are run together"),
    ];
    for (model, part) in expected {
        match check(&backend, model, &[]) {
            BatchSafety::Unbatched { reason } => {
                eprintln!("{model}: {reason}");
                assert!(reason.contains(part), "{model}: {reason}");
            }
            BatchSafety::Batched(layout) => panic!("{model} is batched: {layout:?}"),
        }
    }
}

#[test]
fn a_model_with_its_own_samples_is_checked_with_them() {
    let Some(backend) = backend() else { return };
    let sample = |index: i64| {
        let data = TensorData::Fixed(index.to_le_bytes().to_vec().into());
        vec![Tensor::new("x", DataType::Int64, Shape::new(&[1, 1]), data).unwrap()]
    };
    let found = check(&backend, "picky", &[sample(3), sample(6)]);
    assert!(matches!(found, BatchSafety::Batched(_)), "{found:?}");

    let Loaded { signature, mut instances, .. } = load(&backend, "picky").unwrap();
    let broken = check_batch_safety(&mut *instances[0], &signature, &[sample(8)]);
    let error = broken.unwrap_err().to_string();
    assert!(error.starts_with("the version fails on its own sample 1"), "{error}");
}
