//! The report as a file: serde does the writing, this file the reading, so that every complaint names the file and what
//! was expected. docs/loadtest.md describes each field.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::Failure;
use crate::figures::{Report, SCHEMA};

pub fn write(report: &Report, path: &Path) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(report)
        .map_err(|error| Failure::new(format!("the report cannot be written as JSON: {error}")))?;
    text.push('\n');
    fs::write(path, text).map_err(|error| Failure::from(error).within(path.display()))
}

pub fn read(path: &Path) -> Result<Report, Failure> {
    let text =
        fs::read_to_string(path).map_err(|error| Failure::from(error).within(path.display()))?;
    parse(&text).map_err(|failure| failure.within(path.display()))
}

/// Looks at the schema first: what else is wrong with a report of another version is of no interest.
pub fn parse(text: &str) -> Result<Report, Failure> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<String>,
    }
    let not_a_report = |error: serde_json::Error| {
        if error.is_data() {
            format!("expected a report of tidegate-loadtest, a JSON object: {error}")
        } else {
            format!("not JSON: {error}")
        }
    };
    let head: Head = serde_json::from_str(text).map_err(not_a_report)?;
    match head.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) => {
            return Err(format!("expected the schema `{SCHEMA}`, found `{other}`").into());
        }
        None => {
            return Err(format!(
                "expected a report of tidegate-loadtest with `\"schema\": \"{SCHEMA}\"`, found no `schema`"
            )
            .into());
        }
    }
    serde_json::from_str(text)
        .map_err(|error| format!("a report of schema `{SCHEMA}`, but incomplete: {error}").into())
}
