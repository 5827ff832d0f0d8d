//! An instance that was ended is made again from its folder, as long as that still holds the same model.

use tidegate_backend::{Backend, Instance, LoadOptions, Loaded};
use tidegate_batcher::InputBuffers;
use tidegate_inference::{DataType, Shape, Tensor, TensorData};

use super::{backend, load};

#[test]
fn a_terminated_instance_runs_nothing_more_and_a_rebuilt_one_does() {
    let Some(backend) = backend() else { return };
    let Loaded { mut instances, rebuild, .. } = load(&backend, "affine").unwrap();
    let data = TensorData::Fixed(vec![0; 16].into());
    let input = [Tensor::new("x", DataType::Fp32, Shape::new(&[1, 4]), data).unwrap()];
    let mut buffers = InputBuffers::default();
    let mut runs = |instance: &mut dyn Instance| instance.run(&buffers.views(&input));
    assert!(runs(&mut *instances[0]).is_ok());
    instances[0].terminator().unwrap().terminate();
    let error = runs(&mut *instances[0]).unwrap_err();
    assert!(error.error().message().contains("terminate"), "{error}");
    assert_eq!(runs(&mut *rebuild.instance().unwrap()).unwrap().len(), 2);
}

#[test]
fn a_model_that_changed_on_disk_is_not_mixed_with_what_was_loaded() {
    let Some(backend) = backend() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = |model: &str| {
        let file = super::version_dir(model).join("model.onnx");
        std::fs::copy(file, folder.path().join("model.onnx")).unwrap();
    };
    place("affine");
    let one = std::num::NonZeroUsize::MIN;
    let options = LoadOptions { instances: one, intra_op_threads: one };
    let loaded = backend.load(folder.path(), &options).unwrap();
    assert!(loaded.rebuild.instance().is_ok());
    place("renamed");
    let refused = loaded.rebuild.instance().err().unwrap();
    assert_eq!(refused.to_string(), "model.onnx has changed since it was loaded");
}
