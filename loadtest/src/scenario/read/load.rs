//! One `[[load]]`: whom, what, when, and how its clients behave.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidegate_configuration::Section;
use toml::de::DeValue;

use super::{count, known};
use crate::load::Behaviour;
use crate::scenario::pace;
use crate::scenario::plan::{Asking, GatewayPlan, LoadPlan, Pace, Right, WireKind};
use crate::scenario::value::{Name, TargetPath, VersionNumber};

const SECOND: Duration = Duration::from_secs(1);

pub fn read(section: &Section<'_>, gateways: &[GatewayPlan], folder: &Path) -> LoadPlan {
    let plan = LoadPlan {
        name: section.required("name").map(|Name(name)| name).unwrap_or_default(),
        gateways: shared_by(section, gateways),
        target: section.required("target").map(|TargetPath(path)| path).unwrap_or_default(),
        wire: section.value("wire").unwrap_or(WireKind::Json),
        pace: pace_of(section, folder),
        start: section.value("start").unwrap_or_default(),
        duration: section.required("duration").unwrap_or(SECOND),
        warm_up: section.value("warm_up").unwrap_or_default(),
        connections: count(section, "connections", 256),
        streams: count(section, "streams", 64),
        timeout: section.value("timeout").unwrap_or(10 * SECOND),
        slo: section.value("slo"),
        max_requests: count(section, "max_requests", 1_000_000) as u64,
        behaviour: behaviour(section),
        asking: asking(section),
    };
    if plan.duration.is_zero() && !section.is_reported("duration") {
        section.mistake("duration", "expected a time above 0");
    }
    section.unknown_keys();
    plan
}

fn shared_by(section: &Section<'_>, gateways: &[GatewayPlan]) -> Vec<String> {
    let names: Vec<&str> = gateways.iter().map(|gateway| gateway.name.as_str()).collect();
    let chosen: Option<Vec<Name>> = section.values("gateways");
    match chosen {
        None => names.into_iter().map(str::to_owned).collect(),
        Some(chosen) => chosen
            .into_iter()
            .map(|Name(name)| name)
            .filter(|name| known(section, "gateways", name, &names))
            .collect(),
    }
}

fn pace_of(section: &Section<'_>, folder: &Path) -> Pace {
    let arrivals: Option<String> = section.value("arrivals");
    let callers = count(section, "callers", 0);
    match (arrivals, callers) {
        (Some(text), 0) => match pace::read(&text, folder) {
            Ok(pace) => return pace,
            Err(error) => section.mistake("arrivals", error),
        },
        (Some(_), _) => section.mistake("callers", "expected arrivals or callers, not both"),
        (None, 0) if section.is_reported("arrivals") || section.is_reported("callers") => {}
        (None, 0) => section.missing(
            "arrivals",
            "expected arrivals, such as \"poisson:100\" or \"poisson:2x\", or callers",
        ),
        (None, callers) => return Pace::Closed { callers },
    }
    Pace::Closed { callers: 1 }
}

fn behaviour(section: &Section<'_>) -> Behaviour {
    let sends = section.value("slow_to_send").map(Behaviour::SlowToSend);
    let reads = section.value("slow_to_read").map(Behaviour::SlowToRead);
    let leaves = section.value("hangs_up_after").map(|after| Behaviour::HangsUp { after });
    let chosen: Vec<Behaviour> = [sends, reads, leaves].into_iter().flatten().collect();
    if chosen.len() > 1 {
        section.mistake(
            "slow_to_send",
            "expected one of slow_to_send, slow_to_read and hangs_up_after, got several",
        );
    }
    chosen.first().copied().unwrap_or(Behaviour::Normal)
}

fn asking(section: &Section<'_>) -> Asking {
    let payload = section.path("payload");
    let raw = section.path("raw");
    for (key, path) in [("payload", &payload), ("raw", &raw)] {
        if let Some(path) = path
            && !path.exists()
        {
            section.mistake(key, format!("expected a file or a folder, got {}", path.display()));
        }
    }
    if payload.is_some() && raw.is_some() {
        section.mistake("raw", "expected payload or raw, not both");
    }
    let right = right(section);
    if matches!(right, Right::File(_)) && payload.is_none() {
        section.mistake("expected", "expected a payload beside it, to which it is the answer");
    }
    if raw.is_some() && right != Right::Readable {
        section
            .mistake("raw", "expected no statement of what is right for bodies sent as they are");
    }
    Asking {
        rows: count(section, "rows", 1),
        variants: count(section, "variants", 16),
        payload,
        raw,
        parameters: texts(section, "parameters"),
        headers: texts(section, "headers"),
        right,
    }
}

fn right(section: &Section<'_>) -> Right {
    let file = section.path("expected").map(Right::File);
    let check: Option<bool> = section.value("same_answers");
    let same = check.filter(|check| *check).map(|_| Right::Same);
    let versions: Option<Vec<VersionNumber>> = section.values("same_answers_of_versions");
    let of_versions = versions.map(|versions| {
        Right::SameOfVersions(versions.into_iter().map(|VersionNumber(version)| version).collect())
    });
    let mut chosen = [file, same, of_versions].into_iter().flatten();
    let right = chosen.next().unwrap_or(Right::Readable);
    if chosen.next().is_some() {
        section.mistake(
            "expected",
            "expected one of expected, same_answers and same_answers_of_versions, got several",
        );
    }
    right
}

/// A table of texts, numbers and switches, each as a text.
fn texts(section: &Section<'_>, key: &'static str) -> BTreeMap<String, String> {
    let Some(value) = section.raw(key) else { return BTreeMap::new() };
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    };
    let pairs = value.as_table().map(|table| {
        table
            .iter()
            .map(|(name, value)| Some((name.get_ref().to_string(), text(value.get_ref())?)))
            .collect::<Option<BTreeMap<_, _>>>()
    });
    pairs.flatten().unwrap_or_else(|| {
        section.mistake(key, "expected a table of texts, numbers or switches");
        BTreeMap::new()
    })
}
