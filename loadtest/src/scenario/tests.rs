use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::plan::Pace;
use super::*;

const PAGE: &str = include_str!("../../../docs/scenarios.md");

/// So unlike every key that no suggestion is made, and all known ones are listed.
const NO_KEY: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

fn read(text: &str) -> Result<Scenario, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.toml");
    std::fs::write(&file, text).unwrap();
    let place = format!("{}/", folder.path().display());
    read::read(&file).map_err(|problems| problems.to_string().replace(&place, ""))
}

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    files
}

#[test]
fn all_mistakes_are_reported_together_each_with_its_place() {
    let text = r#"
name = "a b"
descriptoin = "x"

[calibration]
callers = 0

[[gateway]]
name = "one"

[[gateway]]
name = "one"
config = "x.toml"

[[load]]
name = "l"
gateways = ["three"]
target = "/models/m"
wire = "xml"
arrivals = "poisson:many"
slow_to_send = "1s"
hangs_up_after = "1"
duration = "0s"

[[load]]
name = "capacity"
target = "/v2/models/m"
arrivals = "steps:1x@1s,2@1s"
slow_to_send = "1s"
hangs_up_after = "1s"
duration = "4s"
raw = "nowhere"

[[load]]
target = "/v2/models/m"
duration = "1s"

[[load]]
name = "l"
target = "/v2/models/m"
arrivals = "poisson:1"
callers = 3
same_answers = true
expected = "nowhere"
duration = "1s"

[[action]]
at = "9s"
restart = "one"

[[action]]
at = "1s"
weights = { blue = 1 }
gateway = "one"

[[action]]
call = "FETCH /"
gateway = "one"

[[pass]]
loads = ["l", "m"]
lost = "many"

[[pass]]
loads = ["capacity"]
during = "5s..6s"
goodput = "50%"
only = ["right", "left"]
"#;
    let expected = r#"30 mistakes in the scenario:
  scenario.toml:1: description: expected a text that is not empty, got nothing
  scenario.toml:2: name: expected a name of letters, digits, '-', '_' and '.', got "a b"
  scenario.toml:3: descriptoin: no such key; did you mean 'description'?
  scenario.toml:6: calibration.callers: expected a whole number from 1, got 0
  scenario.toml:8: gateway[0].config: expected a configuration file, or models beside it
  scenario.toml:12: gateway[1].name: expected another name than those above, got 'one'
  scenario.toml:17: load[0].gateways: expected one of those in this file (one), got 'three'
  scenario.toml:18: load[0].target: expected the end of a target's URL, such as "/v2/models/digits" or "/v1/models/digits", got "/models/m"
  scenario.toml:19: load[0].wire: expected "json", "binary" or "grpc", got "xml"
  scenario.toml:20: load[0].arrivals: "many" is no rate: expected requests per second, above 0 and at most 1000000
  scenario.toml:22: load[0].hangs_up_after: expected a duration of at most a year with its unit (us, ms, s, m or h), such as "50ms", got "1"
  scenario.toml:23: load[0].duration: expected a time above 0
  scenario.toml:28: load[1].arrivals: expected all rates as multiples of the capacity or none, got "steps:1x@1s,2@1s"
  scenario.toml:29: load[1].slow_to_send: expected one of slow_to_send, slow_to_read and hangs_up_after, got several
  scenario.toml:32: load[1].raw: expected a file or a folder, got nowhere
  scenario.toml:34: load[2].arrivals: expected arrivals, such as "poisson:100" or "poisson:2x", or callers
  scenario.toml:34: load[2].name: expected a name of letters, digits, '-', '_' and '.', got nothing
  scenario.toml:39: load[3].name: expected another name than those above, got 'l'
  scenario.toml:42: load[3].callers: expected arrivals or callers, not both
  scenario.toml:44: load[3].expected: expected a payload beside it, to which it is the answer
  scenario.toml:44: load[3].expected: expected one of expected, same_answers and same_answers_of_versions, got several
  scenario.toml:48: action[0].at: expected a time before the last load ends at 4s
  scenario.toml:51: action[1].model: expected the model whose weights are set
  scenario.toml:56: action[2].at: expected a duration of at most a year with its unit (us, ms, s, m or h), such as "50ms", got nothing
  scenario.toml:57: action[2].call: expected a method and a path, such as "PUT /admin/v1/models/M/weights", got "FETCH /"
  scenario.toml:61: pass[0].loads: expected one of those in this file (l, capacity, l), got 'm'
  scenario.toml:62: pass[0].lost: expected a whole number from 0, or a percentage such as "0.1%", got "many"
  scenario.toml:66: pass[1].during: expected a part of the time that load 'capacity' records, 0s..4s
  scenario.toml:67: pass[1].goodput: expected load 'capacity' to have an slo
  scenario.toml:68: pass[1].only: expected one of right, wrong, unreadable, refused, invalid, failed, unavailable, too_late, timed_out, broken, not_connected, not_sent, abandoned, got "left""#;
    let text = read(text).unwrap_err();
    let (text, expected): (Vec<_>, Vec<_>) = (text.lines().collect(), expected.lines().collect());
    assert_eq!(text, expected);
}

#[test]
fn a_scenario_that_cannot_fail_is_a_mistake() {
    let said = read("name = \"n\"\ndescription = \"d\"\n").unwrap_err();
    assert!(said.contains("load: expected at least one [[load]]"), "{said}");
    assert!(said.contains("pass: expected at least one [[pass]]"), "{said}");
}

#[test]
fn every_shipped_file_is_read_and_is_named_like_its_file() {
    let files = shipped();
    assert!(files.len() >= 11, "{files:?}");
    for file in files {
        let scenario = read::read(&file).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(scenario.name, file.file_stem().unwrap().to_str().unwrap());
        assert!(!scenario.description.is_empty());
        assert!(
            PAGE.contains(&format!("| `{}` |", scenario.name)),
            "{} is not in the page",
            scenario.name
        );
    }
}

#[test]
fn a_scaled_scenario_keeps_its_course() {
    let file = shipped().into_iter().find(|file| file.ends_with("canary-switch.toml")).unwrap();
    let whole = read::read(&file).unwrap();
    let quarter = whole.clone().scaled(0.25, 0.5);
    assert_eq!(quarter.loads[0].end(), whole.loads[0].end() / 4);
    assert_eq!(quarter.actions[1].at, whole.actions[1].at / 4);
    assert_eq!(quarter.loads[0].timeout, whole.loads[0].timeout);
    assert_eq!(quarter.loads[0].pace, Pace::Open("poisson:150".parse().unwrap()));
    let windows = |scenario: &Scenario| scenario.loads[0].windows(&scenario.criteria);
    let shrunken: Vec<_> =
        windows(&whole).into_iter().map(|range| range.start / 4..range.end / 4).collect();
    assert_eq!(windows(&quarter), shrunken);
    assert!(windows(&whole).contains(&(Duration::from_millis(2500)..Duration::from_millis(4500))));
}

/// What the reader knows under a heading; without one, at the root.
fn known_keys(section: &str) -> BTreeSet<String> {
    let text = format!("{section}\n{NO_KEY} = 1\n");
    let problems = read(&text).unwrap_err();
    let line = problems.lines().find(|line| line.contains(NO_KEY)).expect("its complaint");
    let (_, keys) = line.split_once("known here: ").expect("the keys that are known");
    keys.split(", ").map(str::to_owned).collect()
}

/// The keys of the page's tables, by the section that stands in the heading.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut sections = BTreeMap::new();
    for part in PAGE.split("\n## ").skip(1) {
        let Some(name) = part.strip_prefix('`').and_then(|rest| rest.split('`').next()) else {
            continue;
        };
        let rows = part.lines().skip_while(|line| !line.starts_with("| Key |")).skip(2);
        let keys = rows.take_while(|line| line.starts_with('|')).flat_map(|row| {
            let cell = row.trim_matches('|').split('|').next().unwrap_or_default();
            cell.split(',').map(|key| key.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        });
        sections.insert(name.to_owned(), keys.collect());
    }
    sections
}

#[test]
fn the_page_names_every_key_that_the_reader_knows_and_no_other() {
    let documented = documented();
    let sections: Vec<&str> = documented.keys().map(String::as_str).collect();
    assert_eq!(sections, ["[[action]]", "[[gateway]]", "[[load]]", "[[pass]]", "[calibration]"]);
    for (section, keys) in &documented {
        assert_eq!(keys, &known_keys(section), "{section}");
    }
    let root = known_keys("");
    let at_root = ["action", "calibration", "description", "gateway", "load", "name", "pass"];
    assert_eq!(root.iter().map(String::as_str).collect::<Vec<_>>(), at_root);
}
