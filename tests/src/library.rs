//! The gateway without ONNX Runtime's library, with a broken one, and what a working one leaves behind.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::process::{self, Process, digits, onnxruntime};

fn serve_with(library: &Path) -> Output {
    let folder = tempfile::tempdir().unwrap();
    process::command()
        .arg("serve")
        .args(digits(folder.path()))
        .env("ORT_DYLIB_PATH", library)
        .output()
        .unwrap()
}

/// One line for people: no panic, no log of half a start, no signal.
#[track_caller]
fn assert_refused(output: &Output, said: &[&str]) {
    let text = str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.signal(), None, "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.matches("tidegate: ").count(), 1, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for part in said {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn without_the_library_help_works_and_serve_names_it_and_the_mending_command() {
    let nowhere = Path::new("/nowhere/libonnxruntime.so");
    let help = process::command().arg("--help").env("ORT_DYLIB_PATH", nowhere).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(str::from_utf8(&help.stdout).unwrap().contains("serve"));
    let path = nowhere.to_str().unwrap();
    assert_refused(&serve_with(nowhere), &["ONNX Runtime", path, "make onnxruntime"]);
}

#[test]
fn a_truncated_library_is_refused_before_it_can_kill_the_process() {
    let Some(library) = onnxruntime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(&library).unwrap();
    // Under its own name it has a sha256 to keep; under any other it has to be complete at least.
    for (name, said) in [
        (library.file_name().unwrap().to_str().unwrap(), &["sha256", "make onnxruntime"][..]),
        ("libmine.so", &["not a complete shared library"]),
    ] {
        for length in [0, 1000, whole.len() / 2, whole.len() - 1] {
            let copy: PathBuf = folder.path().join(name);
            std::fs::write(&copy, &whole[..length]).unwrap();
            let output = serve_with(&copy);
            assert_refused(&output, &[copy.to_str().unwrap()]);
            assert_refused(&output, said);
        }
    }
}

/// ONNX Runtime's official builds upload usage data and keep files for it below the home folder.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_appears_in_the_home_folder_of_a_gateway_that_serves() {
    let Some(library) = onnxruntime() else { return };
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = process::command();
    command.args(["serve"]).args(digits(folder.path())).env("ORT_DYLIB_PATH", library);
    command.env("HOME", home.path()).env_remove("XDG_CACHE_HOME").env_remove("XDG_DATA_HOME");
    let mut gateway = Process::start(command);
    gateway.until_ready();
    let seven = std::fs::read(process::root().join("examples/digits/samples/seven.json")).unwrap();
    let answer = gateway.client.post(&gateway.data("/predict"), seven).await.expect(200);
    assert_eq!(answer.json()["class"], 7);
    gateway.signal("TERM");
    assert_eq!(gateway.exit().code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
