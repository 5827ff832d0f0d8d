//! docs/loadtest.md tells the truth about report.json: its tables hold every field that is written, and no other, and its example
//! holds no field that does not exist.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::sample;
use crate::question::Ending;

const PAGE: &str = include_str!("../../../docs/loadtest.md");

type Sections = BTreeMap<String, BTreeSet<String>>;

/// The section that describes the object under this key. Maps, whose keys are no fields, have none.
fn section(key: &str) -> Option<&'static str> {
    Some(match key {
        "" => "Report",
        "tool" => "Tool",
        "machine" => "Machine",
        "runs" => "Run",
        "arrivals" => "Arrivals",
        "goodput" => "Goodput",
        "latency" | "latency_uncorrected" | "queue" | "execute" | "lateness" | "wait" => "Latency",
        "server" => "Server",
        "statistics" => "Statistics",
        "generator" => "Generator",
        "validity" => "Validity",
        "series" => "Second",
        "windows" => "Window",
        "search" => "Search",
        "trials" => "Trial",
        "scenario" => "Scenario",
        "criteria" => "Criterion",
        "actions" => "Action",
        "endings" | "batch_rows" | "batches" | "versions" => return None,
        other => panic!("no section is known for `{other}`"),
    })
}

/// Adds the fields of every object in `value`, which stands under `key`.
fn walk(key: &str, value: &Value, found: &mut Sections) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(key, item, found)),
        Value::Object(fields) if key == "endings" => {
            for ending in fields.values() {
                let names = ending.as_object().expect("an object").keys().cloned();
                found.entry("Ending".to_owned()).or_default().extend(names);
            }
        }
        Value::Object(fields) => {
            let Some(section) = section(key) else { return };
            found.entry(section.to_owned()).or_default().extend(fields.keys().cloned());
            fields.iter().for_each(|(key, value)| walk(key, value, found));
        }
        _ => {}
    }
}

fn written() -> Sections {
    let report = serde_json::to_value(sample::complete()).expect("a report is JSON");
    let mut found = Sections::new();
    walk("", &report, &mut found);
    found
}

fn documented() -> Sections {
    let page = PAGE.split("\n## report.json\n").nth(1).expect("the page describes report.json");
    let sections = page.split("\n### ").skip(1);
    let section = |text: &str| {
        let (title, rest) = text.split_once('\n').expect("a section has lines");
        let rows = rest.lines().filter_map(|line| line.strip_prefix("| `"));
        let names = rows.filter_map(|row| row.split('`').next()).map(str::to_owned);
        (title.to_owned(), names.collect())
    };
    sections.map(section).collect()
}

#[test]
fn the_page_names_every_field_of_the_json_and_no_other() {
    assert_eq!(documented(), written());
}

#[test]
fn the_example_holds_only_fields_that_exist() {
    let text = PAGE.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    let example: Value = serde_json::from_str(text.expect("an example")).expect("it is JSON");
    let mut shown = Sections::new();
    walk("", &example, &mut shown);
    let written = written();
    for (section, fields) in shown {
        let unknown: Vec<_> = fields.difference(&written[&section]).collect();
        assert!(unknown.is_empty(), "{section}: {unknown:?}");
    }
    assert_eq!(example["schema"], crate::figures::SCHEMA);
}

#[test]
fn the_page_names_every_ending() {
    for ending in Ending::ALL {
        assert!(PAGE.contains(&format!("\n| `{ending}` | ")), "{ending}");
    }
}
