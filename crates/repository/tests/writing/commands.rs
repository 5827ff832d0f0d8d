//! Each change with what it leaves on the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tidegate_inference::Label;
use tidegate_repository::{Finding, Forerunner, Manifest, Presence, RepositoryError, Writer};

use crate::site::{Site, digits, names, terms, version};

#[test]
fn a_pushed_version_lies_in_its_folder_and_in_the_manifest() {
    let site = Site::new();
    site.push(4, "four", &["green"]);
    assert_eq!(site.names(), ["4", "versions.json"]);
    assert_eq!(names(&site.model_folder().join("4")), ["model.onnx", "samples", "weights.bin"]);
    let manifest = Manifest::read(&site.model_folder()).unwrap().unwrap();
    let entry = manifest.entry(version(4)).unwrap();
    assert_eq!((entry.size(), entry.files().len()), (4 + 4000 + 2, 3));
    assert_eq!(manifest.labels()[&Label::new("green").unwrap()].version, version(4));
    assert_eq!(manifest.active().unwrap().version, version(4), "the only one is active");
    entry.verify(&site.model_folder().join("4")).unwrap();
    assert_eq!(site.findings(), []);
}

#[test]
fn a_pushed_file_can_be_read_by_whoever_serves_it() {
    let site = Site::new();
    let source = site.source("private");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(site.0.path().join("source/model.onnx"), private).unwrap();
    crate::site::push(&site.repository(), 1, &source, &[]).unwrap();
    let mode = fs::metadata(site.model_folder().join("1/model.onnx")).unwrap().permissions().mode();
    let usual =
        fs::metadata(site.model_folder().join("versions.json")).unwrap().permissions().mode();
    assert_eq!(mode, usual);
}

#[test]
fn numbers_go_on_after_the_highest_that_is_listed_or_lies_there() {
    let site = Site::new();
    let next =
        || Writer::open_or_make(&terms(&site.repository()), &digits()).unwrap().next_version();
    assert_eq!(next().unwrap(), version(1));
    site.push(4, "four", &[]);
    assert_eq!(next().unwrap(), version(5));
    fs::create_dir(site.model_folder().join("7")).unwrap();
    assert_eq!(next().unwrap(), version(8));
    fs::create_dir(site.model_folder().join(i64::MAX.to_string())).unwrap();
    let error = next().unwrap_err().to_string();
    assert!(error.contains("no version number above 9223372036854775807"), "{error}");
}

#[test]
fn the_same_content_is_the_same_version_and_other_content_is_refused() {
    let site = Site::new();
    site.push(1, "one", &[]);
    let presence = site.open().presence(version(1), &site.source("one")).unwrap();
    assert!(matches!(presence, Presence::Same(entry) if entry.version() == version(1)));
    let error = site.open().presence(version(1), &site.source("two")).unwrap_err();
    assert!(matches!(error, RepositoryError::Taken { .. }));
    assert!(
        error.to_string().contains("(model.onnx: sha256 7692c3ad3540 there, 3fc4ccfe7458 here)")
    );
    fs::remove_file(site.0.path().join("source/weights.bin")).unwrap();
    let less = tidegate_repository::Source::at(&site.0.path().join("source")).unwrap();
    site.source("one");
    fs::remove_file(site.0.path().join("source/weights.bin")).unwrap();
    let error = site.open().presence(version(1), &less).unwrap_err().to_string();
    assert!(error.contains("(weights.bin is missing here)"), "{error}");
}

#[test]
fn a_version_that_lies_there_is_taken_in_by_pushing_it_in_place() {
    let site = Site::new();
    let by_hand = site.model_folder().join("3");
    fs::create_dir_all(&by_hand).unwrap();
    fs::write(by_hand.join("model.onnx"), "by hand").unwrap();
    assert_eq!(site.findings(), [Finding::Extra(version(3))]);
    let error = site.open().activate(version(3)).unwrap_err().to_string();
    assert!(error.contains("tidegate model push digits"), "{error}");
    let source = tidegate_repository::Source::at(&by_hand).unwrap();
    crate::site::push(&site.repository(), 3, &source, &[]).unwrap();
    assert_eq!(site.findings(), []);
    site.open().activate(version(3)).unwrap();
}

#[test]
fn a_version_whose_folder_was_removed_by_hand_is_brought_back_by_the_same_push() {
    let site = Site::new();
    site.push(1, "one", &[]);
    fs::remove_dir_all(site.model_folder().join("1")).unwrap();
    assert_eq!(site.findings(), [Finding::Missing(version(1))]);
    let error = site.open().presence(version(1), &site.source("two")).unwrap_err();
    assert!(matches!(error, RepositoryError::Taken { .. }), "{error}");
    site.push(1, "one", &[]);
    assert_eq!(site.findings(), []);
}

#[test]
fn what_is_dropped_before_it_is_published_leaves_no_trace() {
    let site = Site::new();
    let writer = Writer::open_or_make(&terms(&site.repository()), &digits()).unwrap();
    let staged = writer.stage(version(1), &site.source("one")).unwrap();
    assert!(staged.folder().join("samples/one.json").is_file());
    drop(staged);
    drop(writer);
    assert_eq!(names(&site.repository()), [""; 0]);

    site.push(1, "one", &[]);
    drop(site.open().stage(version(2), &site.source("two")).unwrap());
    assert_eq!(site.names(), ["1", "versions.json"]);
}

#[test]
fn a_push_whose_manifest_cannot_be_written_leaves_what_was() {
    let site = Site::new();
    site.push(1, "one", &[]);
    // After the leftovers were tidied up, the temporary file's name is taken by a folder.
    let mut writer = site.open();
    let staged = writer.stage(version(2), &site.source("two")).unwrap();
    fs::create_dir(site.model_folder().join("versions.json.tmp")).unwrap();
    let about = tidegate_repository::About {
        name: None,
        labels: Vec::new(),
        signature: writer.manifest().versions()[0].signature().clone(),
    };
    let error = writer.publish(staged, about).unwrap_err().to_string();
    assert!(error.contains("versions.json: cannot be written"), "{error}");
    drop(writer);
    fs::remove_dir(site.model_folder().join("versions.json.tmp")).unwrap();
    assert_eq!(site.names(), ["1", "versions.json"]);
    assert_eq!(site.findings(), []);
}

#[test]
fn the_forerunner_is_the_active_version_and_else_the_highest() {
    let site = Site::new();
    let of = |number| match site.open().forerunner(version(number)).unwrap() {
        Some(Forerunner::Listed(entry)) => (entry.version().get(), true),
        Some(Forerunner::Unlisted(version, _)) => (version.get(), false),
        None => (0, false),
    };
    site.push(1, "one", &[]);
    assert_eq!(of(1), (0, false));
    site.push(2, "two", &[]);
    assert_eq!(of(3), (1, true));
    site.open().delete(version(1), true).unwrap();
    assert_eq!(of(3), (2, true));
    fs::create_dir(site.model_folder().join("5")).unwrap();
    assert_eq!(of(3), (5, false));
    assert_eq!(of(5), (2, true));
    site.open().activate(version(2)).unwrap();
    assert_eq!(of(3), (2, true));
    assert_eq!(of(2), (5, false));
}

#[test]
fn what_was_damaged_is_not_activated() {
    let site = Site::new();
    site.push(1, "one", &[]);
    site.push(2, "two", &[]);
    fs::write(site.model_folder().join("2/model.onnx"), "tw0").unwrap();
    let error = site.open().activate(version(2)).unwrap_err().to_string();
    assert!(error.contains("model.onnx: sha256") && error.contains("push it again"), "{error}");
    assert_eq!(site.open().manifest().active().unwrap().version, version(1));
}

#[test]
fn rollback_skips_what_is_gone_and_ends_where_nothing_is_left() {
    let site = Site::new();
    for number in 1..=4 {
        site.push(number, "content", &[]);
        site.open().activate(version(number)).unwrap();
    }
    site.open().delete(version(3), false).unwrap();
    fs::remove_dir_all(site.model_folder().join("2")).unwrap();
    assert_eq!(site.open().roll_back().unwrap().version, version(1));
    let error = site.open().roll_back().unwrap_err().to_string();
    assert!(error.contains("no earlier activation"), "{error}");
    assert_eq!(site.open().manifest().active().unwrap().version, version(1));
}

#[test]
fn a_version_in_use_is_deleted_only_by_force() {
    let site = Site::new();
    site.push(1, "one", &["blue"]);
    site.push(2, "two", &[]);
    site.open().activate(version(2)).unwrap();
    for (number, said) in [(1, "it has the label 'blue'"), (2, "it is active")] {
        let error = site.open().delete(version(number), false).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("--force"), "{error}");
    }
    assert_eq!(site.names(), ["1", "2", "versions.json"]);
    for number in [1, 2] {
        site.open().delete(version(number), true).unwrap();
    }
    assert_eq!(site.names(), ["versions.json"]);
    let manifest = Manifest::read(&site.model_folder()).unwrap().unwrap();
    assert_eq!((manifest.active(), manifest.labels().len()), (None, 0));
    let error = site.open().delete(version(1), true).unwrap_err().to_string();
    assert!(error.contains("there is no version 1; there are none"), "{error}");
}

#[test]
fn what_is_not_listed_or_not_there_can_be_deleted_too() {
    let site = Site::new();
    site.push(1, "one", &[]);
    fs::create_dir(site.model_folder().join("2")).unwrap();
    site.open().delete(version(2), false).unwrap();
    fs::remove_dir_all(site.model_folder().join("1")).unwrap();
    site.open().delete(version(1), true).unwrap();
    assert_eq!(site.findings(), []);
    assert_eq!(site.names(), ["versions.json"]);
}

#[test]
fn every_kind_of_difference_is_found() {
    let site = Site::new();
    for number in 1..=5 {
        site.push(number, "content", &[]);
    }
    let folder = site.model_folder();
    fs::remove_dir_all(folder.join("1")).unwrap();
    fs::write(folder.join("2/model.onnx"), "cut").unwrap();
    fs::write(folder.join("3/model.onnx"), "CONTENT").unwrap();
    fs::remove_file(folder.join("4/samples/one.json")).unwrap();
    fs::write(folder.join("5/notes.txt"), "").unwrap();
    fs::create_dir(folder.join("6")).unwrap();
    let findings = site.findings();
    let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let kinds: Vec<&str> = findings.iter().map(Finding::kind).collect();
    assert_eq!(kinds, ["missing", "differs", "differs", "differs", "extra_file", "extra"]);
    for (line, said) in told.iter().zip([
        "version 1: missing",
        "version 2: model.onnx: size 3, expected 7 bytes",
        "version 3: model.onnx: sha256 ",
        "version 4: samples/one.json: missing",
        "version 5: notes.txt: extra, it was not pushed with it",
        "version 6: extra, it is not in the manifest",
    ]) {
        assert!(line.starts_with(said), "{said}: {line}");
    }
}

#[test]
fn a_model_or_a_repository_that_is_not_there_is_named_with_what_is() {
    let site = Site::new();
    let open = || Writer::open(&terms(&site.repository()), &digits()).unwrap_err().to_string();
    assert!(open().ends_with("and no other model either"), "{}", open());
    fs::create_dir_all(site.repository().join("letters/1")).unwrap();
    assert!(open().ends_with("; there are letters"), "{}", open());
    let nowhere = terms(&site.0.path().join("nowhere"));
    let error = Writer::open_or_make(&nowhere, &digits()).unwrap_err().to_string();
    assert!(error.ends_with("nowhere: not a folder"), "{error}");
}

#[test]
fn nobody_writes_while_somebody_does() {
    let site = Site::new();
    site.push(1, "one", &[]);
    let _held = site.open();
    let impatient =
        tidegate_repository::Terms { wait: Duration::ZERO, ..terms(&site.repository()) };
    let error = Writer::open(&impatient, &digits()).unwrap_err().to_string();
    assert!(error.contains("still held by a test (process "), "{error}");
    assert!(site.folder().verify(Duration::ZERO).is_err());
    // Who only looks does not wait.
    assert_eq!(site.folder().manifest().unwrap().unwrap().versions().len(), 1);
}
