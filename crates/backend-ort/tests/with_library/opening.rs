//! What cannot be opened is refused without harm, and another library may be tried after it.

use std::fs;
use std::path::PathBuf;

use tidegate_backend_ort::{LibraryError, LibrarySearch, OrtRuntime, disable_telemetry};

use super::{backend, in_a_process_of_its_own};

#[test]
fn a_refused_library_leaves_the_way_free_for_a_good_one() {
    if backend().is_none() {
        return;
    }
    let output = in_a_process_of_its_own("opening::open_bad_ones_then_the_good_one").output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{output:?}");
}

#[test]
#[ignore = "run by a_refused_library_leaves_the_way_free_for_a_good_one, in a process of its own"]
fn open_bad_ones_then_the_good_one() {
    // SAFETY: this process runs one test, and ONNX Runtime is not open yet.
    unsafe { disable_telemetry() };
    let good = LibrarySearch::from_environment(None);
    let library = good.find().unwrap();
    let open =
        |path: PathBuf| OrtRuntime::open(&LibrarySearch { explicit: Some(path), ..good.clone() });

    let missing = open("/nowhere/libonnxruntime.so".into());
    assert!(matches!(missing, Err(LibraryError::ExplicitMissing { .. })), "{missing:?}");

    // The first half of the real library: opened, it would kill this process.
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(&library.path).unwrap();
    let name = library.path.file_name().unwrap();
    for (name, is_pinned) in [(name, true), ("other.so".as_ref(), false)] {
        let cut = folder.path().join(name);
        fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        let refused = open(cut);
        match refused {
            Err(LibraryError::WrongHash { .. }) => assert!(is_pinned),
            Err(LibraryError::Incomplete { .. }) => assert!(!is_pinned),
            other => panic!("{other:?}"),
        }
    }

    let a_program = open(std::env::current_exe().unwrap());
    assert!(matches!(a_program, Err(LibraryError::Refused { .. })), "{a_program:?}");

    let opened = OrtRuntime::open(&good).unwrap();
    assert_eq!(opened.library(), library.path);
    let again = open("/nowhere/libonnxruntime.so".into()).unwrap();
    assert_eq!(again.library(), library.path, "a process has one runtime");
}
