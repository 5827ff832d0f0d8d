//! docs/configuration.md tells the truth: its tables hold the keys that the reader knows, no others, with
//! their defaults, and the flags and variables that the command line knows.
//!
//! The reader is asked, not read: it lists the keys it knows when it refuses one that it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches};
use tidegate_control::ModelSettings;
use tidegate_gateway::{Config, Overrides};

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// So unlike every key that no suggestion is made, and all known ones are listed.
const NO_KEY: &str = "zzzzzzzzzzzzzzzz";

/// A repository with one model, and a file beside it.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let version = folder.path().join("repository/digits/1");
        fs::create_dir_all(&version).expect("a writable folder");
        fs::write(version.join("model.onnx"), "").expect("a writable folder");
        fs::write(folder.path().join("keys"), "0123456789abcdef").expect("a writable folder");
        Self(folder)
    }

    fn read(&self, text: &str) -> Result<Config, String> {
        let file = self.file();
        fs::write(&file, text).expect("a writable folder");
        Config::read(Some(&file), &Overrides::default()).map_err(|problems| problems.to_string())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("tidegate.toml")
    }

    /// What the reader knows in a section; with an empty name, the sections.
    fn known_keys(&self, section: &str) -> BTreeSet<String> {
        let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        let problems = self.read(&format!("{header}{NO_KEY} = 1\n")).expect_err("an unknown key");
        let line = problems.lines().find(|line| line.contains(NO_KEY)).expect("its complaint");
        let (_, keys) = line.split_once("known here: ").expect("the keys that are known");
        keys.split(", ").map(str::to_owned).collect()
    }
}

/// A key's row in the page: `| key | type | default | meaning |`.
struct Row {
    key: &'static str,
    default: &'static str,
}

/// The tables of keys, by the first section that their heading names.
fn documented() -> BTreeMap<&'static str, Vec<Row>> {
    let mut sections: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for part in PAGE.split("\n## ").filter(|part| part.starts_with("`[")) {
        let section = part[2..].split(']').next().expect("split gives at least one piece");
        let rows = rows(part, "| Key | Type |").into_iter().map(|cells| {
            let default = cells[2];
            Row { key: code(cells[0]).expect("a key in backticks"), default }
        });
        sections.insert(section, rows.collect());
    }
    sections
}

/// The cells of the table that starts so; no cell of ours holds a bar.
fn rows(part: &'static str, header: &str) -> Vec<Vec<&'static str>> {
    let table = part.lines().skip_while(|line| !line.starts_with(header));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The configuration as it is used: a default that is written out is no other than one that is not.
fn effective(mut config: Config) -> String {
    let defaults = config.control.unnamed();
    config.control.defaults = ModelSettings::default();
    format!("{config:#?} {defaults:#?}")
}

fn code(cell: &'static str) -> Option<&'static str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

#[test]
fn the_page_names_every_key_that_the_reader_knows_and_no_other() {
    let site = Site::new();
    let documented = documented();
    let mut sections = site.known_keys("");
    assert!(sections.remove("models"), "{sections:?}");
    let named: BTreeSet<String> = documented.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(named, sections);
    for (section, rows) in &documented {
        let named: BTreeSet<String> = rows.iter().map(|row| row.key.to_owned()).collect();
        assert_eq!(named, site.known_keys(section), "[{section}]");
    }
    assert_eq!(site.known_keys("models.digits"), site.known_keys("defaults"));
}

#[test]
fn every_default_in_the_page_is_accepted_and_is_the_default() {
    let site = Site::new();
    // What has no default, and without which others mean nothing.
    let keys = "path = \"keys\"\n";
    let repository = "[repository]\npath = \"repository\"\n";
    let mut text = repository.to_owned();
    let mut written = 0;
    for (section, rows) in documented().iter().filter(|(section, _)| **section != "repository") {
        text.push_str(&format!("[{section}]\n"));
        text.push_str(if *section == "api_keys" { keys } else { "" });
        for (key, default) in rows.iter().filter_map(|row| Some((row.key, code(row.default)?))) {
            text.push_str(&format!("{key} = {default}\n"));
            written += 1;
        }
    }
    assert!(written > 20, "{text}");
    let said = site.read(&text).expect("all defaults are accepted");
    let silent = format!("{repository}[api_keys]\n{keys}");
    let silent = site.read(&silent).expect("the least that must be said");
    assert_eq!(effective(said), effective(silent));
}

#[test]
fn the_page_names_every_flag_and_variable_with_its_key() {
    let command = Overrides::augment_args(Command::new("tidegate"));
    let known: BTreeSet<[String; 3]> = command
        .get_arguments()
        .map(|argument| {
            let flag = format!("--{}", argument.get_long().expect("all are flags"));
            let variable = argument.get_env().expect("all have a variable").to_string_lossy();
            let matches = command.clone().get_matches_from(["tidegate", &flag, "value"]);
            let given = Overrides::from_arg_matches(&matches).expect("what was just parsed").0;
            let key = given.into_iter().find(|given| given.text == "value").expect("it was given");
            [key.key.to_owned(), variable.into_owned(), flag]
        })
        .collect();
    let named: BTreeSet<[String; 3]> = rows(PAGE, "| Key | Variable |")
        .into_iter()
        .map(|cells| [0, 1, 2].map(|cell| code(cells[cell]).expect("code in all cells").to_owned()))
        .collect();
    assert_eq!(named, known);
}
