//! The commands of README.md, run as they stand there, and what they print held against what it shows.
//!
//! In a fenced `console` block a line that begins with `$ ` is a command (a `\` at its end continues it), and
//! what follows is its output: `...` stands for anything on its line, or alone on a line for any lines.
//! Ports and binary are replaced by those under test; `make` builds what is built already, so of its
//! commands only `make run` is carried out, by starting the gateway on the demo.

use std::process::Command;

use crate::process::{self, Process, digits, onnxruntime};

#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    output: Vec<String>,
}

fn steps(markdown: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_console = false;
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            in_console = !in_console && fence.trim() == "console";
            continue;
        }
        if !in_console {
            continue;
        }
        match line.strip_prefix("$ ") {
            Some(command) => {
                let mut command = command.to_owned();
                while command.ends_with('\\') {
                    command = format!("{command}\n{}", lines.next().expect("a continuation"));
                }
                steps.push(Step { command, output: Vec::new() });
            }
            None => {
                let step = steps.last_mut().expect("a block begins with a command");
                step.output.push(line.to_owned());
            }
        }
    }
    steps
}

/// Whether the text is as shown, line by line.
fn is_as_shown(shown: &[String], found: &[&str]) -> bool {
    match shown.split_first() {
        None => found.is_empty(),
        Some((line, rest)) if line.trim() == "..." => {
            (0..=found.len()).any(|skipped| is_as_shown(rest, &found[skipped..]))
        }
        Some((line, rest)) => found.split_first().is_some_and(|(first, others)| {
            is_like(line.trim_end(), first.trim_end()) && is_as_shown(rest, others)
        }),
    }
}

/// Whether the line is as shown, where `...` stands for anything.
fn is_like(shown: &str, found: &str) -> bool {
    let Some((start, rest)) = shown.split_once("...") else { return shown == found };
    let Some(mut found) = found.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split("...").collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = found.split_once(part) else { return false };
        found = after;
    }
    found.ends_with(end)
}

/// What stands in the README, for the gateway under test.
fn adapted(command: &str, gateway: &Process) -> String {
    let port = |address: &str| address.rsplit_once(':').expect("an address").1.to_owned();
    let binary = process::binary().display().to_string();
    command
        .replace("8501", &port(gateway.data_address()))
        .replace("8502", &port(gateway.admin_address()))
        .replace("target/release-fast/tidegate", &binary)
}

fn run(command: &str, gateway: &Process) -> String {
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &adapted(command, gateway)])
        .current_dir(process::root())
        .env("TIDEGATE_ADMIN", gateway.admin(""))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    // On a busy machine the load generator may be late, and then it says so: 4 is done, and not to be believed.
    let done = output.status.success()
        || command.contains("tidegate-loadtest") && output.status.code() == Some(4);
    assert!(done, "$ {command}\n{text}{errors}");
    text
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    if onnxruntime().is_none() {
        return;
    }
    let readme = std::fs::read_to_string(process::root().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut running: Option<Process> = None;
    let mut curls = 0;
    for step in steps(&readme) {
        if step.command.starts_with("make run") {
            let mut command = process::command();
            command.arg("serve").args(digits(folder.path())).current_dir(process::root());
            let mut gateway = Process::start(command);
            gateway.until_ready();
            running = Some(gateway);
            continue;
        }
        if ["make ", "git ", "cd "].iter().any(|start| step.command.starts_with(start)) {
            println!("not run here: {}", step.command);
            continue;
        }
        let gateway = running.as_ref().expect("`make run` comes first");
        let printed = run(&step.command, gateway);
        let found: Vec<&str> = printed.lines().collect();
        let shown = step.output.join("\n");
        assert!(
            is_as_shown(&step.output, &found),
            "$ {}\nprinted:\n{printed}\nREADME.md shows:\n{shown}",
            step.command
        );
        curls += usize::from(step.command.contains("curl "));
    }
    assert!(curls >= 3, "{curls} commands with curl ran");
}

#[test]
fn commands_outputs_and_continuations_are_told_apart() {
    let text =
        "```console\n$ a \\\n    b\none\n\ntwo\n$ c\n```\n```sh\n$ not this\n```\nnor $ this\n";
    let step = |command: &str, output: &[&str]| Step {
        command: command.to_owned(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(steps(text), [step("a \\\n    b", &["one", "", "two"]), step("c", &[])]);
}

#[test]
fn dots_stand_for_anything_on_a_line_or_for_lines() {
    let shown = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(is_like("a...c...", "abbcd"));
    assert!(is_like("...", ""));
    assert!(!is_like("a...c", "ab"));
    assert!(!is_like("a...b...c", "ac"));
    assert!(is_as_shown(&shown(&["a", "...", "z"]), &["a", "b", "c", "z"]));
    assert!(is_as_shown(&shown(&["a", "..."]), &["a"]));
    assert!(!is_as_shown(&shown(&["a"]), &["a", "b"]));
    assert!(!is_as_shown(&shown(&["a", "b"]), &["a"]));
}
