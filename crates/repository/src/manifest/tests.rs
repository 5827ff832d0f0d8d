use serde_json::json;

use super::*;

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn by(text: &str) -> Author {
    text.parse().unwrap()
}

fn entry(manifest: &Manifest, number: u64) -> VersionEntry {
    let spec = tidegate_inference::TensorSpec {
        name: "pixels".into(),
        datatype: tidegate_inference::DataType::Fp32,
        shape: vec![tidegate_inference::Dim::Dynamic, tidegate_inference::Dim::Fixed(64)],
    };
    let signature = Signature { inputs: vec![spec.clone()], outputs: vec![spec] };
    let file = |path: &str, size| {
        let sha256 = "0123456789abcdef".repeat(4).parse().unwrap();
        FileEntry::new(FilePath::new(path).unwrap(), size, sha256)
    };
    let files = vec![file("model.onnx", 40), file("samples/one.json", 2)];
    let name = Some(format!("v{number}.0.0").parse().unwrap());
    VersionEntry::new(version(number), name, manifest.stamp(by("a test")), signature, files)
}

/// With three versions, all of them activated once, and a label: nothing of what can be written is missing.
fn full() -> Manifest {
    let mut manifest = Manifest::new(ModelName::new("digits").unwrap());
    for number in [1, 3, 2] {
        manifest.put(entry(&manifest, number));
        manifest.activate(version(number), manifest.stamp(by("a test")));
    }
    manifest.set_label(label("green"), version(3), manifest.stamp(by("a test")));
    manifest
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path()).unwrap();
        folder
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("digits")
    }

    fn holding(text: &str) -> Self {
        let folder = Self::new();
        std::fs::write(folder.path().join(MANIFEST_FILE), text).unwrap();
        folder
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path().join(MANIFEST_FILE)).unwrap()
    }

    fn read(&self) -> Manifest {
        Manifest::read(&self.path()).unwrap().unwrap()
    }

    fn refusal(&self) -> String {
        Manifest::read(&self.path()).unwrap_err().to_string()
    }
}

/// What is written of [`full`], for tests to spoil.
fn document() -> Value {
    serde_json::to_value(full()).unwrap()
}

#[test]
fn what_is_written_reads_back_and_every_write_counts() {
    let folder = Folder::new();
    let mut manifest = full();
    for revision in 1..=3 {
        manifest.write(&folder.path()).unwrap();
        let read = folder.read();
        assert_eq!(read, manifest);
        assert_eq!(read.revision(), revision);
    }
}

#[test]
fn a_folder_without_a_manifest_has_none() {
    let folder = Folder::new();
    assert_eq!(Manifest::read(&folder.path()).unwrap(), None);
}

#[test]
fn versions_are_listed_in_order_and_the_latest_activation_comes_first() {
    let manifest = full();
    let numbers: Vec<u64> = manifest.versions().iter().map(|entry| entry.version().get()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(manifest.active().unwrap().version, version(2));
    let previous: Vec<u64> =
        manifest.previous().iter().map(|activation| activation.version.get()).collect();
    assert_eq!(previous, [3, 1]);
    assert_eq!(manifest.labels_of(version(3)).collect::<Vec<_>>(), [&label("green")]);
    assert_eq!(manifest.entry(version(3)).unwrap().size(), 42);
    assert_eq!(manifest.entry(version(4)), None);
}

#[test]
fn every_activation_has_a_later_stamp_than_all_before() {
    let mut manifest = full();
    let mut latest = manifest.labels()[&label("green")].since;
    for number in [2, 2, 1, 3] {
        manifest.activate(version(number), manifest.stamp(by("a test")));
        let since = manifest.active().unwrap().since;
        assert!(since > latest);
        latest = since;
    }
}

#[test]
fn an_activation_of_the_active_version_is_new_and_leaves_no_history() {
    let mut manifest = full();
    let before = (manifest.active().unwrap().since, manifest.previous().to_vec());
    manifest.activate(version(2), manifest.stamp(by("a test")));
    assert!(manifest.active().unwrap().since > before.0);
    assert_eq!(manifest.previous(), before.1);
}

#[test]
fn the_history_is_bounded() {
    let mut manifest = full();
    for round in 0..100 {
        manifest.activate(version(1 + round % 3), manifest.stamp(by("a test")));
    }
    assert_eq!(manifest.previous().len(), MAX_PREVIOUS);
    assert_eq!(manifest.previous()[0].version, version(3));
}

#[test]
fn a_rollback_goes_further_back_each_time() {
    let mut manifest = full();
    manifest.roll_back(0, manifest.stamp(by("a test")));
    assert_eq!(manifest.active().unwrap().version, version(3));
    manifest.roll_back(0, manifest.stamp(by("a test")));
    assert_eq!(manifest.active().unwrap().version, version(1));
    assert!(manifest.previous().is_empty());
}

#[test]
fn a_removed_version_is_named_by_nothing() {
    let mut manifest = full();
    for number in [3, 2] {
        manifest.remove(version(number));
        assert!(
            !serde_json::to_string(&manifest).unwrap().contains(&format!("\"version\":{number}"))
        );
        manifest.check().unwrap();
    }
    assert_eq!(manifest.active(), None);
    assert_eq!(manifest.previous().len(), 1);
}

#[test]
fn fields_that_are_not_known_are_read_past_and_written_back() {
    let mut document = document();
    for place in
        ["", "/active", "/previous/0", "/labels/green", "/versions/1", "/versions/1/files/0"]
    {
        document.pointer_mut(place).unwrap()["later"] = json!({ "than": ["this"] });
    }
    let folder = Folder::holding(&document.to_string());
    let mut manifest = folder.read();
    manifest.write(&folder.path()).unwrap();
    let mut written: Value = serde_json::from_str(&folder.text()).unwrap();
    written["revision"] = document["revision"].clone();
    assert_eq!(written, document);
}

#[test]
fn another_schema_is_told_from_damage() {
    let error = Folder::holding(r#"{"schema": 2, "shards": []}"#).refusal();
    assert!(error.contains("digits/versions.json"), "{error}");
    assert!(error.contains("schema 2, this one knows 1"), "{error}");
}

#[test]
fn damage_is_told_with_file_place_and_what_to_do() {
    let cut = &serde_json::to_string_pretty(&document()).unwrap()[..300];
    let error = Folder::holding(cut).refusal();
    for said in ["digits/versions.json", " at line ", "column", "move it away"] {
        assert!(error.contains(said), "{said}: {error}");
    }
}

#[test]
fn what_does_not_agree_is_refused() {
    let spoilt = |place: &str, value: Value| {
        let mut document = document();
        *document.pointer_mut(place).unwrap() = value;
        Folder::holding(&document.to_string()).refusal()
    };
    for (place, value, said) in [
        ("/model", json!("../digits"), "must not start with a dot"),
        ("/model", json!("letters"), "it is model 'letters's, and lies in the folder 'digits'"),
        ("/active/version", json!(7), "version 7 is or was active and is not listed"),
        ("/previous/0/version", json!(7), "version 7 is or was active and is not listed"),
        ("/active/since", json!("yesterday"), "expected a time such as"),
        ("/active/by", json!(""), "expected who does it"),
        ("/labels/green/version", json!(7), "label 'green' names version 7"),
        ("/labels", json!({ "7": document()["active"] }), "must not be a number"),
        ("/versions/0/version", json!(0), "0 is not a version"),
        ("/versions/0/version", json!(2), "version 2 is listed twice"),
        ("/versions/0/name", json!("a b"), "expected a name such as"),
        ("/versions/0/size", json!(41), "its size is 41, and its files have 42 bytes"),
        ("/versions/0/files/0/path", json!("../x"), "expected a file's path"),
        ("/versions/0/files/0/path", json!("other.onnx"), "no model.onnx among its files"),
        ("/versions/0/files/1/path", json!("model.onnx"), "listed twice or out of order"),
        ("/versions/0/files/0/sha256", json!("beef"), "expected a SHA-256"),
        ("/versions/0/signature/inputs/0/shape/0", json!(-2), "expected a length or -1, got -2"),
        ("/versions/0/signature/inputs/0/datatype", json!("FP33"), "unknown datatype 'FP33'"),
    ] {
        let error = spoilt(place, value);
        assert!(error.contains(said), "{place}: {error}");
    }
}

#[test]
fn what_is_too_large_is_neither_read_nor_written() {
    let large = format!("{{\"schema\":1{}", " ".repeat(MAX_BYTES as usize));
    let folder = Folder::holding(&large);
    let error = folder.refusal();
    assert!(error.contains("larger than 8388608 bytes"), "{error}");

    let folder = Folder::new();
    let mut manifest = full();
    manifest.write(&folder.path()).unwrap();
    let before = folder.text();
    manifest.other.insert("later".to_owned(), json!("x".repeat(MAX_BYTES as usize)));
    let error = manifest.write(&folder.path()).unwrap_err().to_string();
    assert!(error.contains("delete versions first"), "{error}");
    assert_eq!((folder.text(), manifest.revision()), (before, 1));
}
