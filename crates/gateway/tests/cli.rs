//! The binary from outside: exit statuses, what is printed where, and which source of configuration wins.
//! No test here needs ONNX Runtime; `serve` is tested for how it says so.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

/// The binary with nothing of this process's own configuration in its environment.
fn tidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("TIDEGATE_")
            || text.contains("BATCH_SIZE")
            || text.starts_with("MODEL_")
        {
            command.env_remove(name);
        }
    }
    command
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let version = folder.path().join("repository/digits/1");
    std::fs::create_dir_all(&version).unwrap();
    std::fs::write(version.join("model.onnx"), "").unwrap();
    let config = "[repository]\npath = \"repository\"\n[defaults]\nbatch_size = 2\n";
    std::fs::write(folder.path().join("tidegate.toml"), config).unwrap();
    folder
}

fn config_of(folder: &Path) -> String {
    folder.join("tidegate.toml").display().to_string()
}

#[test]
fn help_and_version_need_no_library() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["version"], &["--version"]] {
        let output = tidegate(arguments).env("ORT_DYLIB_PATH", "/nowhere").output().unwrap();
        assert_eq!(status(&output), 0, "{arguments:?}");
        assert!(stdout(&output).contains("tidegate"), "{arguments:?}");
    }
}

#[test]
fn flags_beat_the_environment_and_that_beats_the_file() {
    let folder = repository();
    let config = config_of(folder.path());
    let batch_size = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(status(&output), 0, "{}", stderr(&output));
        let text = stdout(&output);
        let start = text.find("batch_size ").unwrap() + "batch_size ".len();
        text[start..].split(',').next().unwrap().to_owned()
    };
    let check = ["check-config", "--config", &config];
    assert_eq!(batch_size(&mut tidegate(&check)), "2");
    assert_eq!(batch_size(tidegate(&check).env("BATCH_SIZE", "4")), "4");
    assert_eq!(batch_size(tidegate(&check).env("BATCH_SIZE", "")), "2");
    let flag = ["check-config", "--config", &config, "--batch-size", "6"];
    assert_eq!(batch_size(tidegate(&flag).env("BATCH_SIZE", "4")), "6");
}

#[test]
fn the_environment_alone_configures_it() {
    let folder = repository();
    let output = tidegate(&["check-config"])
        .env("MODEL_BASE_PATH", folder.path().join("repository"))
        .env("MODEL_NAME", "digits")
        .env("MAX_BATCH_SIZE", "32")
        .env("TIDEGATE_DATA_ADDRESS", "0.0.0.0:9000")
        .output()
        .unwrap();
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    for said in ["default model digits", "max_batch_size 32", "0.0.0.0:9000"] {
        assert!(stdout(&output).contains(said), "{said}: {}", stdout(&output));
    }
}

#[test]
fn mistakes_are_told_with_their_source_and_end_with_status_2() {
    let folder = repository();
    std::fs::write(folder.path().join("tidegate.toml"), "[repositry]\n").unwrap();
    let config = config_of(folder.path());
    for command in ["check-config", "serve"] {
        let output = tidegate(&[command, "--config", &config, "--grace-period", "5"])
            .env("BATCH_SIZE", "many")
            .output()
            .unwrap();
        assert_eq!(status(&output), 2);
        assert_eq!(stdout(&output), "");
        for said in [
            "4 mistakes",
            "--grace-period: shutdown.grace_period: expected a duration",
            "environment BATCH_SIZE: defaults.batch_size: expected a whole number",
            "tidegate.toml:1: repositry: no such key; did you mean 'repository'?",
            "not set: repository.path: expected the folder of the models",
        ] {
            assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
        }
    }
}

#[test]
fn what_the_repository_does_not_hold_is_a_mistake_in_the_configuration() {
    let folder = repository();
    let config = config_of(folder.path());
    let output =
        tidegate(&["check-config", "--config", &config, "--default-model", "letters"]).output();
    let output = output.unwrap();
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("'letters'"), "{}", stderr(&output));
}

#[test]
fn serving_without_the_library_is_one_clear_error() {
    let folder = repository();
    let config = config_of(folder.path());
    let serve = ["serve", "--config", &config, "--onnxruntime", "/nowhere/libonnxruntime.so"];
    let output = tidegate(&serve).output().unwrap();
    assert_eq!(status(&output), 1);
    let text = stderr(&output);
    assert!(text.starts_with("tidegate: "), "{text}");
    assert!(text.contains("/nowhere/libonnxruntime.so") && text.contains("make"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn weights_without_a_gateway_says_where_it_looked() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let output = tidegate(&["weights", "digits", "--admin", &address]).output().unwrap();
    assert_eq!(status(&output), 1);
    let text = stderr(&output);
    assert!(text.contains(&address) && text.contains("is `tidegate serve` running?"), "{text}");
}

#[test]
fn a_probe_without_a_gateway_fails_and_says_where_it_looked() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    for more in [&[][..], &["--live"], &["--wait", "300ms"], &["--model", "digits"]] {
        let mut arguments = vec!["probe", "--admin", &address];
        arguments.extend(more);
        let output = tidegate(&arguments).output().unwrap();
        assert_eq!(status(&output), 1, "{more:?}");
        assert_eq!(stdout(&output), "");
        let text = stderr(&output);
        assert!(text.contains(&address) && text.contains("is `tidegate serve` running?"), "{text}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_told_by_its_place_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "web secret").unwrap();
    let path = file.display().to_string();
    for arguments in [&["weights", "digits"][..], &["probe", "--model", "digits"]] {
        let by_flag = tidegate(arguments).args(["--api-key-file", &path]).output().unwrap();
        let by_variable = tidegate(arguments).env("TIDEGATE_API_KEY_FILE", &path).output().unwrap();
        for output in [by_flag, by_variable] {
            assert_eq!(status(&output), 1, "{arguments:?}");
            let text = stderr(&output);
            assert!(text.contains(&format!("{path}:1: expected a key of 16 to 512")), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}

#[test]
fn wrong_usage_ends_with_status_2() {
    for arguments in [
        &["weights", "digits", "blue"][..],
        &["weights", "digits", "blue=-1"],
        &["weights", "digits", "--admin", "https://x"],
        &["weights", "digits", "--if-match", "x"],
        &["serve", "--colour", "red"],
        &["probe", "--live", "--model", "digits"],
        &["probe", "--version", "1"],
        &["probe", "--model", "digits", "--version", "0"],
        &["probe", "--wait", "30"],
        &["probe", "--api-key", "0123456789abcdef"],
        &[],
    ] {
        assert_eq!(status(&tidegate(arguments).output().unwrap()), 2, "{arguments:?}");
    }
}
