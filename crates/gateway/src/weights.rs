//! `tidegate weights MODEL [blue=90 green=10]`: shows how a model's traffic is split, or splits it anew.
//!
//! Before it writes, it reads, and writes only if nobody else has written in between: two operators
//! cannot overwrite each other unseen.

use std::fmt::Write;

use clap::Args;
use http::StatusCode;
use serde_json::Value;
use thiserror::Error;
use tidegate_control::Target;

use crate::admin_client::{AdminError, AdminPort};

/// Without assignments: shows the split. With assignments: they replace all of the model's weights, and a
/// version that is not named gets 0.
#[derive(Debug, Args)]
pub struct Weights {
    /// The model
    model: String,
    /// Label or version, and its relative share from 0 to 10000
    #[arg(value_name = "TARGET=WEIGHT", value_parser = Assignment::parse)]
    assignments: Vec<Assignment>,
    #[command(flatten)]
    port: AdminPort,
    /// Write only if the model's tag is still ETAG [default: the tag read just before]
    #[arg(long, value_name = "ETAG", requires = "assignments")]
    if_match: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Assignment {
    target: Target,
    weight: u32,
}

#[derive(Debug, Error)]
pub enum WeightsError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("{0} is named twice")]
    Twice(Target),
    #[error("nothing was written: {message}; look at the weights and decide again")]
    Stale { message: String },
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Does what was asked; the answer is the table to print.
///
/// # Errors
/// When the gateway is not there or refuses.
pub fn run(asked: &Weights) -> Result<String, WeightsError> {
    let weights = document(&asked.assignments)?;
    let client = asked.port.client()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut model = client.model(&asked.model).await?;
        if !asked.assignments.is_empty() {
            let etag = asked.if_match.as_ref().unwrap_or(&model.etag);
            client.set_weights(&asked.model, &weights, etag).await.map_err(stale)?;
            model = client.model(&asked.model).await?;
        }
        let shown = table(&model.document);
        Ok(shown.ok_or_else(|| client.strange("a model without versions".to_owned()))?)
    })
}

impl Assignment {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("expected LABEL=WEIGHT or VERSION=WEIGHT, got {text:?}");
        // From the right: a label may contain '='.
        let (target, weight) = text.rsplit_once('=').ok_or_else(expected)?;
        let target = target.parse::<Target>().map_err(|error| error.message().to_owned())?;
        let digits = weight.bytes().all(|byte| byte.is_ascii_digit());
        let weight = weight.parse().ok().filter(|weight| digits && *weight <= 10_000);
        let weight = weight.ok_or_else(|| {
            format!("expected a weight, a whole number from 0 to 10000, for '{target}'")
        })?;
        Ok(Self { target, weight })
    }
}

fn document(assignments: &[Assignment]) -> Result<Value, WeightsError> {
    let mut weights = serde_json::Map::new();
    for Assignment { target, weight } in assignments {
        if weights.insert(target.to_string(), Value::from(*weight)).is_some() {
            return Err(WeightsError::Twice(target.clone()));
        }
    }
    Ok(Value::Object(weights))
}

fn stale(error: AdminError) -> WeightsError {
    match error {
        AdminError::Refused { status: StatusCode::PRECONDITION_FAILED, message } => {
            WeightsError::Stale { message }
        }
        other => WeightsError::Admin(other),
    }
}

/// A line for each version; `None` when the document is not a model's.
fn table(model: &Value) -> Option<String> {
    let mut rows = vec![["version", "labels", "state", "weight", "share"].map(str::to_owned)];
    for version in model["versions"].as_array()? {
        let labels: Option<Vec<&str>> =
            version["labels"].as_array()?.iter().map(Value::as_str).collect();
        rows.push([
            version["version"].as_u64()?.to_string(),
            labels?.join(","),
            version["state"].as_str()?.to_owned(),
            version["weight"].as_u64()?.to_string(),
            format!("{:.1}%", version["share"].as_f64()? * 100.0),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 5] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let mut text = format!("{}\n", model["name"].as_str()?);
    for [version, labels, state, weight, share] in &rows {
        let [a, b, c, d, e] = widths;
        writeln!(text, "{version:<a$}  {labels:<b$}  {state:<c$}  {weight:>d$}  {share:>e$}",)
            .ok()?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn assignment(text: &str) -> Result<(String, u32), String> {
        Assignment::parse(text).map(|parsed| (parsed.target.to_string(), parsed.weight))
    }

    #[test]
    fn an_assignment_is_a_target_and_a_weight() {
        assert_eq!(assignment("blue=90"), Ok(("blue".to_owned(), 90)));
        assert_eq!(assignment("2=0"), Ok(("2".to_owned(), 0)));
        assert_eq!(assignment("a=b=1"), Ok(("a=b".to_owned(), 1)));
        for bad in ["", "blue", "=1", "blue=", "blue=-1", "blue=+1", "blue=10001", "0=1", "a/b=1"] {
            assert!(assignment(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_document_names_each_target_once() {
        let parse = |texts: &[&str]| {
            let all: Vec<_> = texts.iter().map(|text| Assignment::parse(text).unwrap()).collect();
            document(&all).map_err(|error| error.to_string())
        };
        assert_eq!(parse(&["blue=90", "2=10"]).unwrap(), json!({ "blue": 90, "2": 10 }));
        assert_eq!(parse(&["blue=90", "blue=1"]), Err("blue is named twice".to_owned()));
    }

    #[test]
    fn the_table_has_a_line_for_each_version() {
        let version = |version: u64, labels: &[&str], weight: u64, share: f64| json!({ "version": version, "labels": labels, "state": "ready", "weight": weight, "share": share });
        let model = json!({ "name": "digits", "versions": [
            version(1, &["blue"], 90, 0.9), version(2, &["green", "new"], 10, 0.1), version(3, &[], 0, 0.0),
        ]});
        let expected = "\
digits
version  labels     state  weight  share
1        blue       ready      90  90.0%
2        green,new  ready      10  10.0%
3                   ready       0   0.0%
";
        assert_eq!(table(&model).unwrap(), expected);
        assert_eq!(table(&json!({ "models": [] })), None);
    }
}
