//! One `[[action]]`: what is done to a gateway while the loads run.

use std::time::Duration;

use serde_json::{Map, Value as Json};
use tidegate_configuration::Section;
use toml::de::DeValue;

use super::{known, seconds};
use crate::scenario::plan::{ActionPlan, Deed, GatewayPlan};
use crate::scenario::value::Name;

/// `end` is when the last load ends: what comes after it would be waited for and seen by nobody.
pub fn read(section: &Section<'_>, gateways: &[GatewayPlan], end: Duration) -> Option<ActionPlan> {
    let at: Option<Duration> = section.required("at");
    if at.is_some_and(|at| at >= end) {
        section.mistake(
            "at",
            format!("expected a time before the last load ends at {}", seconds(end)),
        );
    }
    let deeds: Vec<(Deed, Option<String>)> =
        [weights(section), call(section), restart(section)].into_iter().flatten().collect();
    let named = section.value("gateway").map(|Name(name)| name);
    section.unknown_keys();
    let mut deeds = deeds.into_iter();
    let Some((deed, restarted)) = deeds.next() else {
        if !["weights", "model", "call", "restart"].into_iter().any(|key| section.is_reported(key))
        {
            section.missing("call", "expected one of weights, call and restart");
        }
        return None;
    };
    if deeds.next().is_some() {
        section.mistake("at", "expected one of weights, call and restart, got several");
    }
    let names: Vec<&str> = gateways.iter().map(|gateway| gateway.name.as_str()).collect();
    let (key, name) = match (restarted, named) {
        (Some(name), _) => ("restart", name),
        (None, Some(name)) => ("gateway", name),
        // With a server that runs already there is no gateway in the file, and none to be named.
        (None, None) if names.len() <= 1 => {
            let only = names.first().copied().unwrap_or_default().to_owned();
            return Some(ActionPlan { at: at?, gateway: only, deed });
        }
        (None, None) => {
            section.missing("gateway", format!("expected one of {}", names.join(", ")));
            return None;
        }
    };
    let is_known = known(section, key, &name, &names);
    is_known.then_some(ActionPlan { at: at?, gateway: name, deed })
}

/// `weights = { blue = 0, green = 100 }` with `model`: the admin API's own document, shortened.
fn weights(section: &Section<'_>) -> Option<(Deed, Option<String>)> {
    let model: Option<String> = section.value("model");
    let Some(value) = section.raw("weights") else {
        if model.is_some() {
            section.mistake("model", "expected weights beside it");
        }
        return None;
    };
    if value.as_table().is_none() {
        section.mistake("weights", "expected a table, such as { blue = 0, green = 100 }");
        return None;
    }
    if model.is_none() && !section.is_reported("model") {
        section.missing("model", "expected the model whose weights are set");
    }
    let weights = Map::from_iter([("weights".to_owned(), json(value))]);
    let deed = Deed::Call {
        method: "PUT".to_owned(),
        path: format!("/admin/v1/models/{}/weights", model?),
        body: Some(Json::Object(weights).to_string()),
    };
    Some((deed, None))
}

/// `call = "PUT /admin/v1/models/digits/labels/canary"` with `body`, a text or a table.
fn call(section: &Section<'_>) -> Option<(Deed, Option<String>)> {
    let body = section.raw("body").map(|body| match body {
        DeValue::String(text) => text.to_string(),
        other => json(other).to_string(),
    });
    let call: Option<String> = section.value("call");
    if call.is_none() && body.is_some() && !section.is_reported("call") {
        section.mistake("body", "expected call beside it");
    }
    let call = call?;
    let known = ["GET", "PUT", "POST", "DELETE"];
    match call.split_once(' ') {
        Some((method, path)) if known.contains(&method) && path.starts_with('/') => {
            let (method, path) = (method.to_owned(), path.to_owned());
            Some((Deed::Call { method, path, body }, None))
        }
        _ => {
            let message =
                "expected a method and a path, such as \"PUT /admin/v1/models/M/weights\"";
            section.mistake("call", format!("{message}, got {call:?}"));
            None
        }
    }
}

fn restart(section: &Section<'_>) -> Option<(Deed, Option<String>)> {
    let notice: Option<Duration> = section.value("notice");
    let name = section.value("restart").map(|Name(name)| name);
    if name.is_none() && notice.is_some() && !section.is_reported("restart") {
        section.mistake("notice", "expected restart beside it");
    }
    Some((Deed::Restart { notice: notice.unwrap_or_default() }, Some(name?)))
}

fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Boolean(yes) => Json::from(*yes),
        // What is no number of JSON's stays a text, and the server says so.
        DeValue::Integer(number) => {
            number.as_str().parse::<i64>().map_or_else(|_| Json::from(number.as_str()), Json::from)
        }
        DeValue::Float(number) => {
            number.as_str().parse::<f64>().map_or_else(|_| Json::from(number.as_str()), Json::from)
        }
        DeValue::Datetime(date) => Json::from(date.to_string()),
        DeValue::Array(array) => array.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let pair = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                (AsRef::<str>::as_ref(name.get_ref()).to_owned(), json(value.get_ref()))
            };
            Json::Object(table.iter().map(pair).collect())
        }
    }
}
