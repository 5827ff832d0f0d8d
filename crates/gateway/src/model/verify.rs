//! `tidegate model verify`: whether what lies there is what was pushed.

use std::fmt::Write;

use serde_json::{Value, json};
use tidegate_repository::{Finding, Findings, RepositoryError};

use super::table::{count, size};
use super::{Answer, Reading};

/// # Errors
/// When there is no such model, or no repository.
pub fn run(reading: &Reading) -> Result<Answer, RepositoryError> {
    let (mut text, mut models, mut problems) = (String::new(), Vec::new(), Vec::new());
    let mut is_bad = false;
    for folder in reading.folders()? {
        match folder.verify(reading.place.wait) {
            Ok(findings) => {
                is_bad |= !findings.findings.is_empty();
                text += &told(&findings);
                models.push(document(&findings));
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    is_bad |= !problems.is_empty();
    let document = json!({ "verified": !is_bad, "models": models, "problems": problems });
    let answer = reading.place.answer(text, &document);
    Ok(Answer { is_bad, warnings: problems, ..answer })
}

fn told(findings: &Findings) -> String {
    let model = &findings.model;
    let mut text = String::new();
    for finding in &findings.findings {
        writeln!(text, "{model}: {finding}").expect("a string takes all");
    }
    if findings.findings.is_empty() {
        let (versions, bytes) = (count(findings.versions, "version"), size(findings.bytes));
        writeln!(text, "{model}: {versions}, {bytes}: as pushed").expect("a string takes all");
    }
    for name in leftovers(findings) {
        writeln!(
            text,
            "{model}: {name}: left by a command that was cut off; the next one removes it"
        )
        .expect("a string takes all");
    }
    text
}

fn document(findings: &Findings) -> Value {
    let found: Vec<Value> = findings
        .findings
        .iter()
        .map(|finding| {
            let version = finding.version().get();
            let differences = match finding {
                Finding::Differs(_, mismatch) => {
                    mismatch.differences().iter().map(ToString::to_string).collect()
                }
                _ => Vec::new(),
            };
            json!({
                "version": version,
                "kind": finding.kind(),
                "message": finding.to_string(),
                "differences": differences,
            })
        })
        .collect();
    json!({
        "model": findings.model.as_str(),
        "versions": findings.versions,
        "bytes": findings.bytes,
        "findings": found,
        "leftovers": leftovers(findings).collect::<Vec<_>>(),
    })
}

fn leftovers(findings: &Findings) -> impl Iterator<Item = String> {
    let names = findings.leftovers.iter().filter_map(|path| path.file_name());
    names.map(|name| name.to_string_lossy().into_owned())
}
