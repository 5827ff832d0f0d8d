//! Follows the traffic file: reads it again every second, and tells the control plane what it says.
//!
//! It is compared by its content. A mounted ConfigMap changes by a swap of links that leaves sizes and times as they
//! may be, events do not come from every file system, and the file is small: reading it costs less than being wrong
//! about it. A change counts when two looks in a row have found it: a file that is being written over is empty for a moment,
//! and an empty one lets go of all models. It is declared each time, changed or not, because it may name a version that
//! only comes later.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_configuration::{Problems, Section, Source};
use tidegate_control::{ControlConfig, ControlPlane, DeclaredSplit, DeclaredTraffic};

use crate::config::named_splits;

pub const PAUSE: Duration = Duration::from_secs(1);

/// A ConfigMap holds no more.
const MAX_BYTES: u64 = 1 << 20;

pub struct TrafficFile {
    path: PathBuf,
    last: Option<Found>,
    /// As it was when it was believed, and what that says.
    believed: Option<(Found, Said)>,
}

/// Its text, or why there is none.
type Found = Result<String, String>;

/// The error is why it says nothing.
type Said = Result<DeclaredTraffic, String>;

impl TrafficFile {
    pub fn at(path: PathBuf) -> Self {
        Self { path, last: None, believed: None }
    }

    pub fn look(&mut self, control: &ControlPlane) {
        if let Some(said) = self.believe(text_of(&self.path)) {
            control.declare(said.as_ref().map_err(String::as_str));
        }
    }

    /// What it says, now that this was found. What is found first is believed at once: nothing holds yet that could be
    /// lost.
    fn believe(&mut self, found: Found) -> Option<&Said> {
        let is_settled = self.believed.is_none() || self.last.as_ref() == Some(&found);
        if is_settled && self.believed.as_ref().is_none_or(|(before, _)| *before != found) {
            let said = found.clone().and_then(|text| parse(&self.path, &text));
            self.believed = Some((found.clone(), said));
        }
        self.last = Some(found);
        self.believed.as_ref().map(|(_, said)| said)
    }
}

/// Whether the traffic file, if there is one, could be put in force.
///
/// # Errors
/// Why not.
pub fn check(config: &ControlConfig) -> Result<(), String> {
    let Some(path) = &config.traffic_file else { return Ok(()) };
    let said = read(path)?;
    ControlPlane::check_traffic(config, &said)
        .map_err(|problem| format!("the traffic file {}: {problem}", path.display()))
}

fn read(path: &Path) -> Said {
    parse(path, &text_of(path)?)
}

fn text_of(path: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("{}: cannot be read: {error}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{}: expected at most {MAX_BYTES} bytes", path.display()));
    }
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Said {
    let source = Source { subject: "the traffic file", file: Some(path), overrides: &[] };
    source.read_text(text, compose).map_err(|problems| in_one_line(&problems))
}

fn compose(root: &Section<'_>) -> DeclaredTraffic {
    let splits = named_splits(&root.section("models")).into_iter();
    DeclaredTraffic(
        splits
            .map(|(model, labels, weights)| {
                let (labels, weights) = (labels.unwrap_or_default(), weights.unwrap_or_default());
                (model, DeclaredSplit { labels, weights })
            })
            .collect(),
    )
}

fn in_one_line(problems: &Problems) -> String {
    let problems: Vec<String> = problems.as_slice().iter().map(ToString::to_string).collect();
    problems.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Vec<String>, String> {
        let DeclaredTraffic(models) = parse(Path::new("t.toml"), text)?;
        let shown = models.iter().map(|(model, split)| {
            let labels = split.labels.iter().map(|(label, version)| format!(" {label}={version}"));
            let weights =
                split.weights.iter().map(|(target, weight)| format!(" {target}:{weight}"));
            format!("{model}{}{}", labels.collect::<String>(), weights.collect::<String>())
        });
        Ok(shown.collect())
    }

    #[test]
    fn a_file_says_labels_and_weights_by_model() {
        let text = "[models.digits]\nlabels = { blue = 1, green = 2 }\nweights = { blue = 90, 3 = 10 }\n[models.other]\n";
        assert_eq!(said(text).unwrap(), ["digits blue=1 green=2 3:10 blue:90", "other"]);
        assert_eq!(said("").unwrap(), [] as [&str; 0]);
    }

    #[test]
    fn a_change_counts_when_it_was_found_twice_in_a_row() {
        let mut file = TrafficFile::at("t.toml".into());
        let mut models = |text: &str| {
            file.believe(Ok(text.to_owned())).unwrap().as_ref().map(|said| said.0.len()).ok()
        };
        assert_eq!(models("[models.a]"), Some(1), "the first");
        assert_eq!(models(""), Some(1), "being written over");
        assert_eq!(models("[models.a]\n[models.b"), Some(1));
        assert_eq!(models("[models.a]\n[models.b]"), Some(1));
        assert_eq!(models("[models.a]\n[models.b]"), Some(2));
        assert_eq!(models(""), Some(2));
        assert_eq!(models(""), Some(0), "meant so");
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place_in_one_line() {
        let text = "[models.digits]\nlabels = { blue = 0 }\nweight = { blue = 90 }\nweights = { 1 = 10001, red = 1 }\n[model.x]\n";
        let expected = [
            "t.toml:2: models.digits.labels.blue: expected a version, a whole number from 1, got 0",
            "t.toml:3: models.digits.weight: no such key; did you mean 'weights'?",
            "t.toml:4: models.digits.weights.1: expected a weight, a whole number from 0 to 10000, got 10001",
            "t.toml:5: model: no such key; did you mean 'models'?",
        ];
        let problem = said(text).unwrap_err();
        for expected in expected {
            assert!(problem.contains(expected), "{problem}");
        }
        assert!(!problem.contains('\n'), "{problem}");
        let zero = said("[models.digits]\nweights = { 1 = 0 }\n").unwrap_err();
        assert!(zero.ends_with("weights: expected at least one weight above 0"), "{zero}");
        let label = said("[models.digits]\nweights = { red = 1 }\n").unwrap_err();
        assert!(label.ends_with("weights: expected one of the labels, got 'red'"), "{label}");
    }

    #[test]
    fn what_cannot_be_read_or_is_too_large_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traffic.toml");
        assert!(read(&path).unwrap_err().contains("traffic.toml: cannot be read: No such file"));
        std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
        assert!(read(&path).unwrap_err().ends_with("expected at most 1048576 bytes"));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read(&path).unwrap_err().contains("UTF-8"));
    }
}
