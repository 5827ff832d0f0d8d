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

#[cfg(test)]
mod tests {
    use super::super::{hgrm, html, sample};
    use super::*;

    fn complaint(text: &str) -> String {
        parse(text).expect_err("not a report").to_string()
    }

    #[test]
    fn a_report_survives_its_file() {
        let report = sample::complete();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        write(&report, &path).unwrap();
        let again = read(&path).unwrap();
        // Not field by field: a number may lose its last binary digit on the way, which nobody is shown.
        assert!(html::page(&again) == html::page(&report), "the page is another");
        let distribution =
            |report: &Report| hgrm::distribution(&report.runs[0].best_latency().histogram);
        assert!(distribution(&again) == distribution(&report), "the histogram is another");
    }

    #[test]
    fn a_report_of_another_schema_is_refused_with_both_names() {
        let text = complaint(r#"{"schema": "tidegate-loadtest/99", "runs": 3}"#);
        assert_eq!(text, "expected the schema `tidegate-loadtest/1`, found `tidegate-loadtest/99`");
    }

    #[test]
    fn what_is_no_report_is_said_plainly() {
        assert!(complaint("P6 250").starts_with("not JSON: "));
        assert!(complaint("{\"schema\":").starts_with("not JSON: "));
        assert!(complaint("[1]").starts_with("expected a report of tidegate-loadtest"));
        assert!(complaint("{}").contains("found no `schema`"));
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        let mut report = serde_json::to_value(sample::single()).unwrap();
        report["runs"][0].as_object_mut().unwrap().remove("throughput");
        let text = complaint(&report.to_string());
        assert!(text.contains("missing field `throughput`"), "{text}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = read(Path::new("/nowhere/report.json")).expect_err("no such file");
        assert!(failure.to_string().starts_with("/nowhere/report.json: "), "{failure}");
    }
}
