//! From the text of a scenario file to its plan. All mistakes are reported together, as the gateway's configuration
//! does it.

mod action;
mod load;
mod pass;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use tidegate_configuration::{Count, Problems, Section, Source};

use super::plan::{Calibration, Criterion, GatewayPlan, LoadPlan, Scenario};
use super::value::Name;

const SUBJECT: &str = "the scenario";

/// # Errors
/// Every mistake that was found.
pub fn read(file: &Path) -> Result<Scenario, Problems> {
    Source { subject: SUBJECT, file: Some(file), overrides: &[] }.read(|root| scenario(root, file))
}

fn scenario(root: &Section<'_>, file: &Path) -> Scenario {
    let name = root.required("name").map(|Name(name)| name).unwrap_or_default();
    let description = root.required("description").unwrap_or_default();
    let folder = file.parent().unwrap_or(Path::new(""));
    let sections = root.list("gateway");
    let gateways: Vec<_> = sections.iter().map(gateway).collect();
    check_names(&sections, gateways.iter().map(|gateway| gateway.name.as_str()));
    let sections = root.list("load");
    let loads: Vec<LoadPlan> =
        sections.iter().map(|section| load::read(section, &gateways, folder)).collect();
    check_names(&sections, loads.iter().map(|load| load.name.as_str()));
    let end = loads.iter().map(LoadPlan::end).max().unwrap_or_default();
    let actions = root.list("action");
    let actions =
        actions.iter().filter_map(|section| action::read(section, &gateways, end)).collect();
    let passes = root.list("pass");
    let criteria: Vec<Criterion> =
        passes.iter().flat_map(|section| pass::read(section, &loads)).collect();
    if sections.is_empty() && !root.is_reported("load") {
        root.missing("load", "expected at least one [[load]]");
    }
    if passes.is_empty() && !root.is_reported("pass") {
        root.missing("pass", "expected at least one [[pass]]: a scenario has to be able to fail");
    }
    let calibration = calibration(&root.section("calibration"));
    Scenario { name, description, calibration, gateways, loads, actions, criteria }
}

fn calibration(section: &Section<'_>) -> Calibration {
    let callers = count(section, "callers", 32);
    let duration = section.value("duration").unwrap_or(Duration::from_secs(2));
    section.unknown_keys();
    Calibration { callers, duration }
}

fn gateway(section: &Section<'_>) -> GatewayPlan {
    let name = section.value("name").map_or_else(|| "gateway".to_owned(), |Name(name)| name);
    let config = section.path("config");
    let models: Vec<String> = section.values("models").unwrap_or_default();
    let models: Vec<_> = models.iter().map(|model| section.beside_file(model)).collect();
    let arguments = section.values("arguments").unwrap_or_default();
    if config.is_none() && models.is_empty() && !section.is_reported("config") {
        section.missing("config", "expected a configuration file, or models beside it");
    }
    section.unknown_keys();
    GatewayPlan { name, config, models, arguments }
}

/// Names are how sections speak of each other, so each is there once.
fn check_names<'n>(sections: &[Section<'_>], names: impl Iterator<Item = &'n str>) {
    let mut seen = Vec::new();
    for (section, name) in sections.iter().zip(names) {
        if seen.contains(&name) && !section.is_reported("name") {
            section
                .mistake("name", format!("expected another name than those above, got '{name}'"));
        }
        seen.push(name);
    }
}

/// A name that another section has to have.
fn known(section: &Section<'_>, key: &'static str, name: &str, names: &[&str]) -> bool {
    let is_known = names.contains(&name);
    if !is_known {
        let mut there: Vec<&str> = names.iter().copied().filter(|name| !name.is_empty()).collect();
        there.dedup();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        section.mistake(key, format!("expected one of those in this file ({there}), got '{name}'"));
    }
    is_known
}

/// As it stands in messages: `0s`, `4.5s`.
fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

fn count(section: &Section<'_>, key: &'static str, default: usize) -> usize {
    section.value(key).map_or(default, |Count(count): Count| NonZeroUsize::get(count))
}
