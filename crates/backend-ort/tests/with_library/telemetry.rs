//! A product must not phone home: a process of its own runs a session with an empty home folder, and
//! leaves it empty. (The official builds would start an uploader thread and write below `~/.cache`.)

use std::fs;

use tidegate_backend_ort::{LibraryError, LibrarySearch, OrtRuntime};
use tidegate_batcher::InputBuffers;
use tidegate_inference::{DataType, Shape, Tensor, TensorData};

use super::{backend, in_a_process_of_its_own, load};

#[test]
fn a_session_writes_no_file_and_starts_no_thread() {
    if backend().is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = in_a_process_of_its_own("telemetry::run_a_session");
    for variable in ["HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TMPDIR"] {
        command.env(variable, home.path());
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
    let written: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
    assert!(written.is_empty(), "{written:?}");
}

#[test]
#[ignore = "run by a_session_writes_no_file_and_starts_no_thread, in a process of its own"]
fn run_a_session() {
    let threads = || fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let before = threads();
    let backend = backend().expect("the parent found the library");
    let mut loaded = load(&backend, "affine").unwrap();
    let data = TensorData::Fixed(vec![0; 16].into());
    let input = Tensor::new("x", DataType::Fp32, Shape::new(&[1, 4]), data).unwrap();
    loaded.instances[0].run(&InputBuffers::default().views(&[input])).unwrap();
    assert_eq!(threads(), before);
}

#[test]
fn a_runtime_whose_telemetry_is_on_is_not_opened() {
    let output = in_a_process_of_its_own("telemetry::open_without_the_switch").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by a_runtime_whose_telemetry_is_on_is_not_opened, in a process of its own"]
fn open_without_the_switch() {
    let outcome = OrtRuntime::open(&LibrarySearch::from_environment(None));
    assert!(matches!(outcome, Err(LibraryError::TelemetryOn { .. })), "{outcome:?}");
}
