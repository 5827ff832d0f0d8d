//! The scenarios that come with the load-test harness, shrunken and played by the real binaries: that nothing is lost and
//! nothing is wrong must hold on any machine, however busy.
//!
//! Latencies are another matter: here their bounds are as wide as the day. Where the machine is so busy that the generator
//! cannot keep its schedule it says so (exit status 4), and all else has been judged all the same.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use serde_json::Value;

use crate::process::{self, onnxruntime, root};

struct Played {
    status: ExitStatus,
    report: Value,
    said: String,
}

/// A file of loadtest/scenarios, with `replaced` texts in it, in so much of its time and at so much of its rates.
/// `None` without ONNX Runtime.
fn play(name: &str, replaced: &[(&str, &str)], times: f64, rates: f64) -> Option<Played> {
    let library = onnxruntime()?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{name}.toml"));
    std::fs::write(&file, text(name, replaced)).unwrap();
    let output = folder.path().join("report");
    let played = Command::new(loadtest())
        .arg("scenario")
        .arg(&file)
        .args(["--quiet", "--scale-time", &times.to_string(), "--scale-rate", &rates.to_string()])
        .arg("--output")
        .arg(&output)
        .env("ORT_DYLIB_PATH", library)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&played.stdout),
        String::from_utf8_lossy(&played.stderr)
    );
    let report = std::fs::read_to_string(output.join("report.json"))
        .unwrap_or_else(|error| panic!("{name}: no report: {error}: {said}"));
    let report = serde_json::from_str(&report).unwrap();
    Some(Played { status: played.status, report, said })
}

fn text(name: &str, replaced: &[(&str, &str)]) -> String {
    let folder = root().join("loadtest/scenarios");
    let mut text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
    for (from, to) in replaced {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    let here = |path: PathBuf| format!("\"{}/", path.display());
    text = text.replace("\"../../", &here(root().to_owned()));
    text = text.replace("\"poison/", &here(folder.join("poison")));
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some((key @ ("p50" | "p99"), _)) => format!("{key} = \"1h\"\n"),
        Some(("goodput", _)) => "goodput = \"0%\"\n".to_owned(),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// Beside the gateway that these tests use.
fn loadtest() -> PathBuf {
    let binary = process::binary().with_file_name("tidegate-loadtest");
    let path = binary.display();
    assert!(binary.is_file(), "nothing at {path}: run `cargo build --workspace --bins` first");
    binary
}

impl Played {
    fn criteria(&self) -> &[Value] {
        self.report["scenario"]["criteria"].as_array().unwrap()
    }

    /// Every criterion that could be judged is met.
    #[track_caller]
    fn must_pass(&self) {
        for criterion in self.criteria() {
            let found = criterion["found"].as_str().unwrap();
            let undecided = found.contains("INVALID");
            assert!(criterion["passed"] == true || undecided, "{criterion}: {}", self.said);
        }
        assert!(matches!(self.status.code(), Some(0 | 4)), "{}: {}", self.status, self.said);
    }

    /// It fails, by this criterion.
    #[track_caller]
    fn must_fail(&self, claim: &str) {
        let missed = self.criteria().iter().filter(|criterion| criterion["passed"] == false);
        let claims: Vec<_> = missed.map(|criterion| criterion["claim"].as_str().unwrap()).collect();
        assert!(claims.iter().any(|missed| missed.contains(claim)), "{claims:?}: {}", self.said);
        assert_eq!(self.status.code(), Some(3), "{}", self.said);
    }
}

#[test]
fn a_canary_switch_loses_nothing_and_the_right_version_answers() {
    if let Some(played) = play("canary-switch", &[], 0.25, 0.5) {
        played.must_pass();
        assert_eq!(played.report["scenario"]["actions"].as_array().unwrap().len(), 3);
    }
}

/// That the versions are really looked at: the same with an expectation that cannot hold.
#[test]
fn a_canary_switch_that_should_not_have_happened_fails() {
    let wrong = [("versions = [2]", "versions = [1]")];
    if let Some(played) = play("canary-switch", &wrong, 0.25, 0.5) {
        played.must_fail("answered by version 1 and no other");
    }
}

#[test]
fn two_gateways_restart_one_after_the_other_and_nothing_is_lost() {
    if let Some(played) = play("rolling-restart", &[], 0.3, 0.25) {
        played.must_pass();
    }
}

/// That the lost are really counted: the only gateway leaves, and nobody takes over.
#[test]
fn the_restart_of_the_only_gateway_loses_requests_and_fails() {
    let alone = [("duration = ", "gateways = [\"one\"]\nduration = ")];
    if let Some(played) = play("rolling-restart", &alone, 0.3, 0.25) {
        played.must_fail("no lost requests");
    }
}

#[test]
fn clients_that_hang_up_harm_nobody_else() {
    if let Some(played) = play("disconnecting-clients", &[], 0.2, 0.25) {
        played.must_pass();
    }
}

#[test]
fn malformed_requests_are_told_so_and_good_ones_are_unharmed() {
    if let Some(played) = play("poison-requests", &[], 0.2, 0.25) {
        played.must_pass();
    }
}

#[test]
fn a_request_that_makes_the_model_fail_harms_nobody_but_itself() {
    if let Some(played) = play("poison-in-the-model", &[], 0.25, 1.0) {
        played.must_pass();
    }
}

#[test]
fn one_model_gives_the_same_answers_in_every_protocol() {
    if let Some(played) = play("mixed-protocols", &[], 0.25, 0.25) {
        played.must_pass();
    }
}
