//! One `[[pass]]`: whom it is about, when, and what has to be true. Each key is a criterion of its own.

use std::ops::Range;
use std::time::Duration;

use tidegate_configuration::Section;

use super::{known, seconds};
use crate::question::Ending;
use crate::scenario::plan::{Amount, Bound, Criterion, LoadPlan, Pace, Percentile, Sort};
use crate::scenario::value::{During, Name, Percentage, VersionNumber};

pub fn read(section: &Section<'_>, loads: &[LoadPlan]) -> Vec<Criterion> {
    let about = about(section, loads);
    let during = section.value("during").map(|During(range)| range);
    let bounds = bounds(section);
    section.unknown_keys();
    if bounds.is_empty() && !section.is_reported("lost") {
        section.missing("lost", "expected at least one criterion, such as lost = 0");
    }
    check_during(section, during.as_ref(), &about);
    check_bounds(section, &bounds, &about);
    let names: Vec<String> = about.iter().map(|load| load.name.clone()).collect();
    let criterion = |bound| Criterion { loads: names.clone(), during: during.clone(), bound };
    bounds.into_iter().map(criterion).collect()
}

fn about<'l>(section: &Section<'_>, loads: &'l [LoadPlan]) -> Vec<&'l LoadPlan> {
    let chosen: Option<Vec<Name>> = section.values("loads");
    let Some(chosen) = chosen else { return loads.iter().collect() };
    let names: Vec<&str> = loads.iter().map(|load| load.name.as_str()).collect();
    let chosen: Vec<String> = chosen
        .into_iter()
        .map(|Name(name)| name)
        .filter(|name| known(section, "loads", name, &names))
        .collect();
    loads.iter().filter(|load| chosen.contains(&load.name)).collect()
}

fn bounds(section: &Section<'_>) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for sort in [Sort::Lost, Sort::Errors].into_iter().chain(Ending::ALL.map(Sort::One)) {
        let amount: Option<Amount> = section.value(sort.name());
        bounds.extend(amount.map(|amount| Bound::AtMost(sort, amount)));
    }
    bounds.extend(section.values("only").map(Bound::Only));
    for percentile in [Percentile::P50, Percentile::P90, Percentile::P99, Percentile::Max] {
        let limit = section.value(percentile.name());
        bounds.extend(limit.map(|limit| Bound::Within(percentile, limit)));
    }
    bounds.extend(section.value("refused_p99").map(Bound::RefusedWithin));
    let share = |key| section.value(key).map(|Percentage(share)| share);
    bounds.extend(share("goodput").map(Bound::Goodput));
    bounds.extend(share("goodput_of_capacity").map(Bound::GoodputOfCapacity));
    let versions: Option<Vec<VersionNumber>> = section.values("versions");
    bounds.extend(versions.map(|versions| {
        Bound::Versions(versions.into_iter().map(|VersionNumber(version)| version).collect())
    }));
    bounds
}

/// A part of the time in which nothing is recorded could hold no claim.
fn check_during(section: &Section<'_>, during: Option<&Range<Duration>>, about: &[&LoadPlan]) {
    let Some(during) = during else { return };
    for load in about {
        let recorded = load.start + load.warm_up..load.end();
        if during.end <= recorded.start || during.start >= recorded.end {
            let message = format!(
                "expected a part of the time that load '{}' records, {}..{}",
                load.name,
                seconds(recorded.start),
                seconds(recorded.end)
            );
            section.mistake("during", message);
        }
    }
}

fn check_bounds(section: &Section<'_>, bounds: &[Bound], about: &[&LoadPlan]) {
    for load in about {
        let name = &load.name;
        if bounds.iter().any(|bound| matches!(bound, Bound::Goodput(_))) && load.slo.is_none() {
            section.mistake("goodput", format!("expected load '{name}' to have an slo"));
        }
        if bounds.iter().any(|bound| matches!(bound, Bound::GoodputOfCapacity(_))) {
            let of_capacity = matches!(load.pace, Pace::OfCapacity(_));
            if load.slo.is_none() || !of_capacity {
                let message = format!(
                    "expected load '{name}' to have an slo, and arrivals that are multiples of the capacity"
                );
                section.mistake("goodput_of_capacity", message);
            }
        }
    }
}
