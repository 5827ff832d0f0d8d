//! The load-test harness against the gateway, both as their users have them: two programs and a wire.
//!
//! No latency is asserted here: the machine may be busy. What must hold on any machine is the count of
//! requests, that every answer was the right one, what the reports say, and how bad input is refused.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::{self, Process, digits, onnxruntime};

fn harness(arguments: &[&str]) -> Output {
    let program = process::binary().with_file_name("tidegate-loadtest");
    Command::new(program).args(arguments).current_dir(process::root()).output().unwrap()
}

fn gateway(folder: &Path) -> Option<Process> {
    onnxruntime()?;
    let mut command = process::command();
    command.arg("serve").args(digits(folder)).current_dir(process::root());
    let mut gateway = Process::start(command);
    gateway.until_ready();
    Some(gateway)
}

#[track_caller]
fn report(output: &Output, folder: &Path) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // A busy machine may make the generator late, and the run invalid; what is asked here holds all the same.
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 4)), "{code:?}\n{said}{errors}");
    let text = std::fs::read(folder.join("report.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn every_wire_format_carries_a_load_and_every_answer_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let Some(gateway) = gateway(folder.path()) else { return };
    let version = gateway.data("/v2/models/digits/versions/2");
    let tensorflow = gateway.data("/v1/models/digits/versions/2");
    for target in [vec![version.as_str()], vec![&version, "--binary"], vec![&tensorflow]] {
        let into = tempfile::tempdir().unwrap();
        let mut arguments = vec!["run"];
        arguments.extend(&target);
        arguments.extend(["--arrivals", "constant:100", "--duration", "1s", "--warm-up", "0"]);
        arguments.extend(["--check", "self", "--timeout", "60s", "--quiet"]);
        arguments.extend(["--output", into.path().to_str().unwrap()]);
        let report = report(&harness(&arguments), into.path());
        let run = &report["runs"][0];
        assert_eq!(run["requests"], 100, "{target:?}");
        assert_eq!(run["endings"]["right"]["count"], 100, "{target:?}: {}", run["endings"]);
        let answers = run["server"]["batch_rows"].as_object().unwrap();
        let told: u64 = answers.values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(told, 100, "every answer tells the size of its batch");
        let page = std::fs::read_to_string(into.path().join("report.html")).unwrap();
        assert!(page.contains("<svg"), "plots are inline");
    }
}

#[test]
fn a_wrong_answer_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let Some(gateway) = gateway(folder.path()) else { return };
    // Version 1's answers, learnt as what is right, are not version 2's: half of the traffic goes to each.
    let weights = Command::new(process::binary())
        .args(["weights", "digits", "blue=50", "green=50"])
        .env("TIDEGATE_ADMIN", gateway.admin(""))
        .status();
    assert!(weights.unwrap().success());
    let into = tempfile::tempdir().unwrap();
    let target = gateway.data("/v2/models/digits");
    let output = harness(&[
        "run",
        &target,
        "--callers",
        "1",
        "--variants",
        "1",
        "--max-requests",
        "100",
        "--duration",
        "60s",
        "--warm-up",
        "0",
        "--check",
        "self",
        "--quiet",
        "--output",
        into.path().to_str().unwrap(),
    ]);
    let report = report(&output, into.path());
    let endings = &report["runs"][0]["endings"];
    assert_eq!(endings["wrong"]["count"], 50, "{endings}");
    let example = endings["wrong"]["example"].as_str().unwrap();
    assert!(example.contains("expected"), "{example}");
}

#[test]
fn what_cannot_be_done_is_one_sentence_and_exit_code_1() {
    let nothing = "http://127.0.0.1:9/v2/models/m";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not.json");
    std::fs::write(&path, "{").unwrap();
    let file = path.to_str().unwrap();
    for (arguments, expected) in [
        (vec!["run", nothing, "--rate", "1"], "127.0.0.1:9"),
        (vec!["run", "https://127.0.0.1/v2/models/m", "--rate", "1"], "https"),
        (vec!["run", "http://127.0.0.1:9/", "--rate", "1"], "model"),
        (vec!["run", "http://192.0.2.1:80/v2/models/m", "--rate", "1"], "--allow-remote"),
        (vec!["run", nothing, "--rate", "1", "--payload", "/no/such/file"], "/no/such/file"),
        (vec!["compare", file, file], file),
        (vec!["report", file], file),
        (vec!["scenario", "/no/such/scenario.toml"], "/no/such/scenario.toml"),
        (vec!["ceiling", "/no/such/model.onnx"], "/no/such/model.onnx"),
    ] {
        let output = harness(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_exit_code_2() {
    let target = "http://127.0.0.1:9/v2/models/m";
    for arguments in [
        vec!["run", target],
        vec!["run", target, "--rate", "0"],
        vec!["run", target, "--rate", "5", "--callers", "3"],
        vec!["run", target, "--arrivals", "sometimes:5"],
        vec!["run", target, "--rate", "5", "--duration", "10"],
        vec!["run", target, "--rate", "5", "--threads", "0"],
        vec!["mlperf", target, "--scenario", "offside"],
    ] {
        let output = harness(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    }
}
