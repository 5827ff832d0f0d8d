//! `tidegate model` from outside: real models, the real engine, what is said and with which exit status.
//!
//! ONNX Runtime is where ORT_DYLIB_PATH or `make onnxruntime` says; tests that need it are skipped without it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

struct Site(tempfile::TempDir);

/// How a command ended.
struct Said {
    status: i32,
    out: String,
    err: String,
}

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir(site.repository()).unwrap();
        site
    }

    fn repository(&self) -> PathBuf {
        self.0.path().join("repository")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("TIDEGATE_") || text.starts_with("MODEL_") {
                command.env_remove(name);
            }
        }
        if let Some(library) = onnxruntime() {
            command.env("ORT_DYLIB_PATH", library);
        }
        command.arg("model").args(arguments).env("MODEL_BASE_PATH", self.repository());
        command
    }

    fn say(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    /// What a command that has to succeed answers.
    fn done(&self, arguments: &[&str]) -> String {
        let said = self.say(arguments);
        assert_eq!(said.status, 0, "{arguments:?}: {}", said.err);
        said.out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.done(&with_json)).unwrap()
    }

    /// Why a command is refused.
    fn refused(&self, arguments: &[&str]) -> String {
        let said = self.say(arguments);
        assert_eq!((said.status, &*said.out), (1, ""), "{arguments:?}: {}", said.err);
        said.err
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.repository().join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The demo's model in this version.
fn digits(version: u64) -> String {
    root().join(format!("examples/digits/repository/digits/{version}")).display().to_string()
}

/// One of the test models.
fn fixture(name: &str) -> String {
    root().join("tests/fixtures/models").join(name).join("1").display().to_string()
}

/// As the gateway's other tests find it: named, or fetched by `make onnxruntime`.
fn onnxruntime() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return Some(named.into());
    }
    let versions = fs::read_dir(root().join(".deps/onnxruntime")).ok()?;
    let folders = versions.flatten().filter_map(|version| fs::read_dir(version.path()).ok());
    folders.flatten().flatten().map(|file| file.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libonnxruntime.") && path.is_file() && !path.is_symlink()
    })
}

/// A site to push to, where there is an engine.
fn site() -> Option<Site> {
    if onnxruntime().is_none() {
        eprintln!(
            "skipped: ONNX Runtime is not here; run `make onnxruntime`, or set ORT_DYLIB_PATH"
        );
        return None;
    }
    Some(Site::new())
}

#[test]
fn a_model_is_pushed_activated_rolled_back_and_deleted() {
    let Some(site) = site() else { return };
    let text = site.done(&["push", "digits", &digits(1), "--name", "v1.0.0", "--label", "blue"]);
    assert!(text.starts_with("digits: version 1 (v1.0.0) is pushed: 10."), "{text}");
    assert!(text.trim_end().ends_with("; it is active"), "the only one is: {text}");
    let pushed = site.json(&["push", "digits", &digits(2), "--version", "4", "--by", "ci"]);
    assert_eq!((&pushed["outcome"], &pushed["active"]), (&"pushed".into(), &false.into()));
    assert_eq!(pushed["warnings"], Value::Array(Vec::new()));
    assert_eq!(pushed["entry"]["pushed_by"], "ci");
    assert_eq!(pushed["entry"]["signature"]["inputs"][0]["name"], "pixels");

    let active = site.json(&["activate", "digits", "4"]);
    assert_eq!(
        (&active["active"]["version"], &active["previous"][0]["version"]),
        (&4.into(), &1.into())
    );
    let text = site.done(&["rollback", "digits"]);
    assert!(text.starts_with("digits: version 1 is active since 2"), "{text}");
    assert!(site.refused(&["rollback", "digits"]).contains("no earlier activation"));
    assert!(
        site.refused(&["delete", "digits", "1"]).contains("it is active and has the label 'blue'")
    );
    site.done(&["delete", "digits", "4"]);
    site.done(&["delete", "digits", "1", "--force"]);
    assert_eq!(site.names("digits"), [".versions.lock", "versions.json"]);
}

#[test]
fn a_push_again_is_the_same_push() {
    let Some(site) = site() else { return };
    let push = ["push", "digits", &digits(1), "--version", "7"];
    site.done(&push);
    let before = fs::read(site.repository().join("digits/versions.json")).unwrap();
    assert_eq!(site.json(&push)["outcome"], "unchanged");
    assert_eq!(fs::read(site.repository().join("digits/versions.json")).unwrap(), before);
    let error = site.refused(&["push", "digits", &digits(2), "--version", "7"]);
    assert!(error.contains("version 7: it exists, and with other content (model.onnx"), "{error}");
    let labelled = [&push[..], &["--label", "green", "--name", "late"]].concat();
    let said = site.say(&labelled);
    assert_eq!(said.status, 0);
    assert!(said.err.contains("'late' was not given to it"), "{}", said.err);
    assert_eq!(site.json(&["list", "digits"])["models"][0]["versions"][0]["labels"][0], "green");
}

#[test]
fn what_breaks_the_contract_is_refused_with_the_difference() {
    let Some(site) = site() else { return };
    site.done(&["push", "m", &fixture("affine")]);
    for (release, line) in [
        (
            "renamed",
            "output 'y': FP32 [-1,4] in version 1, missing here; 'doubled' FP32 [-1,4] is new",
        ),
        ("retyped", "output 'y': FP32 [-1,4] in version 1, FP64 [-1,4] here"),
        ("shared_scalar", "input 'scale': FP32 [] is new"),
    ] {
        let error = site.refused(&["push", "m", &fixture(release)]);
        assert!(error.contains(&format!("\n  {line}\n")), "{release}: {error}");
        assert!(error.contains("--allow-contract-change"), "{error}");
        assert_eq!(site.names("m"), [".versions.lock", "1", "versions.json"], "{release}");
    }
    let allowed = site.json(&["push", "m", &fixture("renamed"), "--allow-contract-change"]);
    assert!(allowed["warnings"][0].as_str().unwrap().contains("missing here"), "{allowed}");
    // The one that is active counts, not the newest.
    site.done(&["activate", "m", "1"]);
    site.done(&["push", "m", &fixture("off_by_one")]);
}

#[test]
fn an_output_more_is_taken_and_told() {
    let Some(site) = site() else { return };
    site.done(&["push", "m", &fixture("affine")]);
    let said = site.say(&["push", "m", &fixture("one_more")]);
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains("output 'd': FP32 [-1,4] is new"), "{}", said.err);
}

#[test]
fn the_contract_of_a_version_that_was_copied_by_hand_counts_too() {
    let Some(site) = site() else { return };
    let by_hand = site.repository().join("m/3");
    fs::create_dir_all(&by_hand).unwrap();
    fs::copy(Path::new(&fixture("affine")).join("model.onnx"), by_hand.join("model.onnx")).unwrap();
    let error = site.refused(&["push", "m", &fixture("renamed")]);
    assert!(error.contains("in version 3, missing here"), "{error}");
    // Pushed in place, it is in the manifest.
    let place = by_hand.display().to_string();
    assert_eq!(site.json(&["push", "m", &place, "--version", "3"])["outcome"], "adopted");
    site.done(&["activate", "m", "3"]);
    // One that cannot be loaded binds nobody.
    fs::create_dir_all(site.repository().join("n/1")).unwrap();
    let said = site.say(&["push", "n", &fixture("affine")]);
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains("version 1 cannot be loaded"), "{}", said.err);
}

#[test]
fn what_does_not_load_is_refused_with_the_engines_reason_and_leaves_no_trace() {
    let Some(site) = site() else { return };
    for (name, reason) in [
        ("not_onnx", "Protobuf parsing failed"),
        ("truncated", "damaged, cut short"),
        ("custom_op", "com.example.vision"),
        ("new_ir", "export it with an older IR version"),
        ("locale", "install that locale"),
        ("seq_map", "scores"),
    ] {
        let error = site.refused(&["push", name, &fixture(name)]);
        assert!(
            error.contains("so it was not pushed") && error.contains(reason),
            "{name}: {error}"
        );
        assert!(!error.contains(".push-"), "it names what was pushed: {error}");
    }
    let alone = format!("{}/model.onnx", fixture("external_data"));
    let error = site.refused(&["push", "m", &alone]);
    assert!(error.contains("a file with the model's weights is missing"), "{error}");
    assert_eq!(site.names(""), [""; 0]);
}

/// A file that may not grow is what a full disk looks like to who writes it.
#[test]
fn a_full_disk_leaves_no_trace() {
    let Some(site) = site() else { return };
    site.done(&["push", "digits", &digits(1)]);
    let push = site.command(&["push", "digits", &digits(2)]);
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"])
        .arg(push.get_program())
        .args(push.get_args())
        .envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let said = Said::of(&output);
    assert_eq!(said.status, 1, "{}", said.err);
    assert!(said.err.contains("model.onnx: cannot be written: File too large"), "{}", said.err);
    assert_eq!(site.names("digits"), [".versions.lock", "1", "versions.json"]);
    assert_eq!(site.json(&["verify"])["verified"], true);
}

#[test]
fn a_folder_brings_what_belongs_to_the_model() {
    let Some(site) = site() else { return };
    site.done(&["push", "m", &fixture("external_data")]);
    assert_eq!(site.names("m/1"), ["model.onnx", "weights.bin"]);
    let samples = format!("{}/samples", digits(1));
    site.done(&["push", "d", &format!("{}/model.onnx", digits(1)), "--samples", &samples]);
    assert_eq!(site.names("d/1/samples"), ["eight.json", "four.json"]);
    // They are requests of another model.
    let error = site.refused(&["push", "m", &fixture("external_data"), "--samples", &samples]);
    assert!(error.contains("samples/eight.json: expected the body"), "{error}");
}

#[test]
fn a_model_that_cannot_be_batched_is_pushed_with_a_warning() {
    let Some(site) = site() else { return };
    for name in ["time_axis", "cross_row", "fixed_batch"] {
        let said = site.say(&["push", name, &fixture(name)]);
        assert_eq!(said.status, 0, "{name}: {}", said.err);
        assert!(
            said.err.contains("one request at a time, without batches"),
            "{name}: {}",
            said.err
        );
    }
}

#[test]
fn two_pushes_at_once_end_one_after_the_other() {
    let Some(site) = site() else { return };
    let start = |version: u64| -> Child {
        site.command(&["push", "digits", &digits(version), "--by", &format!("nr {version}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children = [1, 2, 3].map(start);
    for child in children {
        let said = Said::of(&child.wait_with_output().unwrap());
        assert_eq!(said.status, 0, "{}", said.err);
    }
    let listed = site.json(&["list", "digits"]);
    let versions = listed["models"][0]["versions"].as_array().unwrap();
    let numbers: Vec<_> =
        versions.iter().map(|version| version["version"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let mut authors: Vec<_> =
        versions.iter().map(|version| version["entry"]["pushed_by"].as_str().unwrap()).collect();
    authors.sort();
    assert_eq!(authors, ["nr 1", "nr 2", "nr 3"]);
    assert_eq!(site.json(&["verify"])["verified"], true);
}

#[test]
fn verify_tells_what_is_not_as_it_was_pushed() {
    let Some(site) = site() else { return };
    site.done(&["push", "a", &fixture("affine")]);
    site.done(&["push", "b", &fixture("affine")]);
    assert_eq!(
        site.done(&["verify"]),
        "a: 1 version, 224 B: as pushed\nb: 1 version, 224 B: as pushed\n"
    );
    fs::write(site.repository().join("b/1/model.onnx"), [0; 224]).unwrap();
    let said = site.say(&["verify"]);
    assert_eq!(said.status, 1);
    assert!(
        said.out.contains("a: 1 version, 224 B: as pushed\nb: version 1: model.onnx: sha256 "),
        "{}",
        said.out
    );
    let said = site.say(&["verify", "b", "--json"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.status, &document["verified"]), (1, &false.into()));
    assert_eq!(document["models"][0]["findings"][0]["kind"], "differs");
    // A manifest that cannot be understood hides no other model.
    fs::write(site.repository().join("a/versions.json"), "{").unwrap();
    for command in ["verify", "list"] {
        let said = site.say(&[command]);
        assert_eq!(said.status, 1, "{command}");
        assert!(said.err.contains("a/versions.json: it is damaged"), "{command}: {}", said.err);
        assert!(said.out.contains('b'), "{command}: {}", said.out);
    }
}

#[test]
fn the_demo_is_listed_although_it_has_no_manifest() {
    let site = Site::new();
    let demo = root().join("examples/digits/repository").display().to_string();
    let text = site.done(&["list", "--repository", &demo]);
    assert_eq!(text.matches("not in the manifest").count(), 3, "{text}");
    assert!(
        site.refused(&["list", "letters", "--repository", &demo]).ends_with("; there are digits\n")
    );
}

#[test]
fn no_library_and_a_wrong_source_are_told_before_anything_is_written() {
    let site = Site::new();
    let push = ["push", "digits", &digits(1)];
    let output = site.command(&push).env("ORT_DYLIB_PATH", "/nowhere/lib.so").output().unwrap();
    let said = Said::of(&output);
    assert_eq!(said.status, 1);
    assert!(said.err.contains("/nowhere/lib.so"), "{}", said.err);
    let error = site.refused(&["push", "digits", "/nowhere/model.onnx"]);
    assert!(error.contains("/nowhere/model.onnx: cannot be read"), "{error}");
    assert_eq!(site.names(""), [""; 0]);
    let error = site.refused(&["list", "--repository", "/nowhere"]);
    assert!(error.contains("model repository /nowhere: not a folder"), "{error}");
}

#[test]
fn wrong_usage_ends_with_status_2() {
    let site = Site::new();
    for arguments in [
        &["push", "digits"][..],
        &["push", "../digits", "x"],
        &["push", "digits", "x", "--version", "0"],
        &["push", "digits", "x", "--name", "a b"],
        &["push", "digits", "x", "--label", "7"],
        &["activate", "digits"],
        &["activate", "digits", "latest"],
        &["delete", "digits", "1", "--wait", "soon"],
        &["frobnicate"],
    ] {
        assert_eq!(site.say(arguments).status, 2, "{arguments:?}");
    }
    let without = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["model", "list"])
        .env_remove("MODEL_BASE_PATH")
        .output()
        .unwrap();
    assert_eq!(without.status.code(), Some(2));
}

/// A line as the page shows it, `...` standing for anything.
fn is_as_shown(shown: &str, found: &str) -> bool {
    let mut rest = found;
    let pieces: Vec<&str> = shown.split("...").collect();
    for (index, piece) in pieces.iter().enumerate() {
        let Some(place) = rest.find(piece).filter(|place| index > 0 || *place == 0) else {
            return false;
        };
        rest = &rest[place + piece.len()..];
    }
    rest.is_empty() || shown.ends_with("...")
}

#[test]
fn the_commands_of_the_page_print_what_it_shows() {
    let Some(site) = site() else { return };
    let page = include_str!("../../../docs/models.md");
    let blocks = page.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    let mut run = 0;
    for step in blocks.flat_map(|block| block.split("$ tidegate model ").skip(1)) {
        let (arguments, shown) = step.split_once('\n').unwrap();
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = site.command(&arguments).current_dir(root()).output().unwrap();
        let said = Said::of(&output);
        let found = said.out + &said.err;
        let is_shown = shown.lines().count() == found.lines().count()
            && shown.lines().zip(found.lines()).all(|(shown, found)| is_as_shown(shown, found));
        assert!(is_shown, "{arguments:?} printed:\n{found}\nthe page shows:\n{shown}");
        run += 1;
    }
    assert_eq!(run, 7);
}
