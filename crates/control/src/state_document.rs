//! The state file's text: JSON with a schema number, so that an older gateway knows when it must not
//! guess. Unknown fields are refused for the same reason: the next save would lose them.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tidegate_inference::{Label, ModelName, Version};
use tidegate_repository::Timestamp;
use tidegate_router::Weight;

use crate::weights::Weights;

const SCHEMA: u64 = 1;

/// What an operator has set for one model; what was never set is the configuration's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminSet {
    pub labels: Option<BTreeMap<Label, Version>>,
    pub weights: Option<Weights>,
    pub followed: Followed,
}

/// Which of the manifest's words were followed already, each by the time at which it was written: labels and weights
/// that were set since then hold over them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    pub active: Option<Timestamp>,
    pub labels: BTreeMap<Label, Timestamp>,
}

#[derive(Debug, Error)]
pub enum DocumentError {
    #[error("it is damaged or not a state file ({0})")]
    Damaged(String),
    #[error(
        "it was written by another version of tidegate (schema {found}, this one reads {SCHEMA})"
    )]
    Schema { found: u64 },
}

#[derive(Deserialize)]
struct Head {
    schema: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u64,
    models: BTreeMap<String, ModelDocument>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ModelDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<BTreeMap<u64, u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    followed: Option<FollowedDocument>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FollowedDocument {
    active: Option<String>,
    labels: BTreeMap<String, String>,
}

pub fn write(models: &BTreeMap<ModelName, AdminSet>) -> Vec<u8> {
    let models = models.iter().map(|(name, set)| (name.to_string(), written(set))).collect();
    let mut text = serde_json::to_vec_pretty(&Document { schema: SCHEMA, models })
        .expect("strings and numbers always serialise");
    text.push(b'\n');
    text
}

fn written(set: &AdminSet) -> ModelDocument {
    ModelDocument {
        labels: set.labels.as_ref().map(|labels| {
            labels.iter().map(|(label, version)| (label.to_string(), version.get())).collect()
        }),
        weights: set.weights.as_ref().map(|weights| {
            weights.iter().map(|(version, weight)| (version.get(), weight.get())).collect()
        }),
        followed: (set.followed != Followed::default()).then(|| FollowedDocument {
            active: set.followed.active.map(|since| since.to_string()),
            labels: set
                .followed
                .labels
                .iter()
                .map(|(label, since)| (label.to_string(), since.to_string()))
                .collect(),
        }),
    }
}

/// # Errors
/// When it is not a whole and valid document of this schema.
pub fn read(text: &[u8]) -> Result<BTreeMap<ModelName, AdminSet>, DocumentError> {
    let damaged = |error: serde_json::Error| DocumentError::Damaged(error.to_string());
    // The number is read first, by itself: another schema may have any other fields.
    let Head { schema } = serde_json::from_slice(text).map_err(damaged)?;
    if schema != SCHEMA {
        return Err(DocumentError::Schema { found: schema });
    }
    let document: Document = serde_json::from_slice(text).map_err(damaged)?;
    document
        .models
        .into_iter()
        .map(|(name, model)| {
            let set = checked(&model).map_err(|fault| format!("model '{name}': {fault}"))?;
            Ok((ModelName::new(&name).map_err(|error| error.to_string())?, set))
        })
        .collect::<Result<_, String>>()
        .map_err(DocumentError::Damaged)
}

fn checked(model: &ModelDocument) -> Result<AdminSet, String> {
    let labels = model.labels.as_ref().map(|labels| {
        labels
            .iter()
            .map(|(label, number)| {
                let label = Label::new(label).map_err(|error| error.to_string())?;
                Ok((label, checked_version(*number)?))
            })
            .collect::<Result<BTreeMap<_, _>, String>>()
    });
    let weights = model.weights.as_ref().map(|weights| {
        let weights = weights
            .iter()
            .map(|(number, weight)| {
                let weight = Weight::new(*weight).map_err(|error| error.to_string())?;
                Ok((checked_version(*number)?, weight))
            })
            .collect::<Result<Vec<_>, String>>()?;
        Weights::new(weights)
    });
    let followed = model.followed.as_ref().map_or(Ok(Followed::default()), checked_followed)?;
    Ok(AdminSet { labels: labels.transpose()?, weights: weights.transpose()?, followed })
}

fn checked_followed(document: &FollowedDocument) -> Result<Followed, String> {
    let labels = document.labels.iter().map(|(label, since)| {
        let label = Label::new(label).map_err(|error| error.to_string())?;
        Ok((label, checked_time(since)?))
    });
    let labels = labels.collect::<Result<_, String>>()?;
    let active = document.active.as_deref().map(checked_time).transpose()?;
    Ok(Followed { active, labels })
}

fn checked_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error: <Timestamp as FromStr>::Err| error.to_string())
}

fn checked_version(number: u64) -> Result<Version, String> {
    Version::new(number).ok_or_else(|| format!("{number} is not a version"))
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::version;

    fn any_set() -> impl Strategy<Value = AdminSet> {
        let label = "[a-zü \"-]{1,12}".prop_filter_map("a label", |text| Label::new(&text).ok());
        let labels = btree_map(label, (1..u64::MAX >> 1).prop_map(version), 0..4);
        let weights = btree_map(
            (1..u64::MAX >> 1).prop_map(version),
            (1_u32..=10_000).prop_map(|number| Weight::new(number).unwrap()),
            1..5,
        );
        let weights = weights.prop_map(|weights| Weights::new(weights).unwrap());
        let stamp = any::<u64>().prop_map(|nanos| {
            let (seconds, nanos) = (nanos % 4_000_000_000, nanos % 1_000_000_000);
            let day = 1 + seconds % 28;
            format!("2026-02-{day:02}T01:02:03.{nanos:09}Z").parse::<Timestamp>().unwrap()
        });
        let label = "[a-z]{1,12}".prop_map(|text| Label::new(&text).unwrap());
        let followed = (option::of(stamp.clone()), btree_map(label, stamp, 0..3))
            .prop_map(|(active, labels)| Followed { active, labels });
        (option::of(labels), option::of(weights), followed)
            .prop_map(|(labels, weights, followed)| AdminSet { labels, weights, followed })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(sets in proptest::collection::vec(any_set(), 0..4)) {
            let models: BTreeMap<_, _> = sets
                .into_iter()
                .enumerate()
                .map(|(index, set)| (ModelName::new(&format!("model {index}")).unwrap(), set))
                .collect();
            prop_assert_eq!(read(&write(&models)).unwrap(), models);
        }
    }

    #[test]
    fn the_file_stays_readable_for_people_and_later_versions() {
        let text = r#"{"schema":1,"models":{"digits":{"labels":{"blue":1},"weights":{"1":90}}}}"#;
        let models = read(text.as_bytes()).unwrap();
        assert_eq!(models["digits"].weights.as_ref().unwrap().of(version(1)), 90);
        let value: serde_json::Value = serde_json::from_slice(&write(&models)).unwrap();
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn another_schema_is_told_from_damage() {
        let newer = read(br#"{"schema": 2, "shards": []}"#).unwrap_err();
        assert!(matches!(newer, DocumentError::Schema { found: 2 }));
        for damaged in [
            "",
            "{}",
            r#"{"schema":1}"#,
            r#"{"schema":1,"models":{"m":{"wieghts":{}}}}"#,
            r#"{"schema":1,"models":{"m":{"weights":{"1":0}}}}"#,
            r#"{"schema":1,"models":{"m":{"weights":{"0":1}}}}"#,
            r#"{"schema":1,"models":{"m":{"weights":{"1":10001}}}}"#,
            r#"{"schema":1,"models":{"m":{"labels":{"7":1}}}}"#,
            r#"{"schema":1,"models":{"../m":{}}}"#,
            r#"{"schema":1,"models":{}} trailing"#,
        ] {
            let error = read(damaged.as_bytes()).unwrap_err();
            assert!(matches!(error, DocumentError::Damaged(_)), "{damaged}: {error}");
        }
    }
}
