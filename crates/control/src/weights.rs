//! Relative shares of a model's traffic, and the request that replaces them.
//!
//! A request names versions or labels; what is kept names versions only. So a label that is moved
//! later takes no traffic with it: moving traffic is always said in weights.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use tidegate_inference::{Label, Version};
use tidegate_router::Weight;

use crate::Target;

/// At least one version with a share above zero; a version that is not named has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(BTreeMap<Version, Weight>);

impl Weights {
    /// Zeros are dropped: to give nothing and not to be named is the same.
    ///
    /// # Errors
    /// When all are zero.
    pub fn new(weights: impl IntoIterator<Item = (Version, Weight)>) -> Result<Self, String> {
        let kept: BTreeMap<_, _> =
            weights.into_iter().filter(|(_, weight)| weight.get() > 0).collect();
        if kept.is_empty() {
            return Err("at least one weight must be above 0".into());
        }
        Ok(Self(kept))
    }

    pub fn of(&self, version: Version) -> u32 {
        self.0.get(&version).map_or(0, |weight| weight.get())
    }

    /// Those above zero.
    pub fn iter(&self) -> impl Iterator<Item = (Version, Weight)> {
        self.0.iter().map(|(version, weight)| (*version, *weight))
    }
}

/// `{"weights": {"blue": 90, "2": 10}}`: replaces all weights of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsRequest(Vec<(Target, Weight)>);

impl WeightsRequest {
    /// # Errors
    /// When it is not such a document, or a name or a weight in it is not one. Says all that is wrong.
    pub fn from_json(body: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Document {
            weights: Entries,
        }
        let document: Document = serde_json::from_slice(body).map_err(|error| {
            format!(
                "expected {{\"weights\": {{\"<label or version>\": <0 to {}>}}}}: {error}",
                Weight::MAX
            )
        })?;
        collect(document.weights.0.iter().map(|(name, value)| {
            let target: Target =
                name.parse().map_err(|error| format!("weight of '{name}': {error}"))?;
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            let weight = number.and_then(|number| Weight::new(number).ok());
            let weight = weight.ok_or_else(|| not_a_weight(&target, value))?;
            Ok((target, weight))
        }))
        .map(Self)
    }

    /// # Errors
    /// When a weight is above 10000.
    pub fn from_config(weights: &BTreeMap<Target, u32>) -> Result<Self, String> {
        collect(weights.iter().map(|(target, number)| {
            let weight = Weight::new(*number).map_err(|_| not_a_weight(target, number))?;
            Ok((target.clone(), weight))
        }))
        .map(Self)
    }

    /// Turns labels into the versions they point to now.
    ///
    /// # Errors
    /// When a name is unknown, a version is named twice, or all weights are zero.
    pub fn resolve(
        &self,
        labels: &BTreeMap<Label, Version>,
        versions: &BTreeSet<Version>,
    ) -> Result<Weights, String> {
        let mut named: BTreeMap<Version, &Target> = BTreeMap::new();
        let resolved = collect(self.0.iter().map(|(target, weight)| {
            let version = match target {
                Target::Version(version) => Some(*version),
                Target::Label(label) => labels.get(label).copied(),
            };
            let version =
                version.filter(|version| versions.contains(version)).ok_or_else(|| {
                    format!("unknown version or label '{target}': {}", Known { labels, versions })
                })?;
            if let Some(first) = named.insert(version, target) {
                return Err(format!(
                    "version {version} is named twice, as '{first}' and as '{target}'"
                ));
            }
            Ok((version, *weight))
        }))?;
        Weights::new(resolved)
    }
}

fn not_a_weight(target: &Target, found: impl fmt::Display) -> String {
    format!("weight of '{target}' must be an integer between 0 and {}, got {found}", Weight::MAX)
}

/// All the good, or all the faults in one message.
fn collect<T>(results: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let mut good = Vec::new();
    let mut faults = Vec::new();
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(good) } else { Err(faults.join("; ")) }
}

/// Prints what could have been named.
struct Known<'a> {
    labels: &'a BTreeMap<Label, Version>,
    versions: &'a BTreeSet<Version>,
}

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the versions are {}", listed(self.versions))?;
        if self.labels.is_empty() {
            f.write_str("; there are no labels")
        } else {
            write!(f, "; the labels are {}", listed(self.labels.keys()))
        }
    }
}

/// Joins with commas, for messages.
pub fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// An object's members in order, repeated names included: JSON readers quietly keep the last.
struct Entries(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of weights by version or label")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Entries(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{label, version};

    fn set(body: &str) -> Result<Vec<(u64, u32)>, String> {
        let labels = [(label("blue"), version(1)), (label("gone"), version(9))].into();
        let versions = [version(1), version(2), version(3)].into();
        let weights = WeightsRequest::from_json(body.as_bytes())?.resolve(&labels, &versions)?;
        Ok(weights.iter().map(|(version, weight)| (version.get(), weight.get())).collect())
    }

    #[test]
    fn labels_and_versions_are_named_alike_and_zeros_are_dropped() {
        assert_eq!(
            set(r#"{"weights": {"blue": 90, "2": 10, "3": 0}}"#),
            Ok(vec![(1, 90), (2, 10)])
        );
        assert_eq!(set(r#"{"weights": {"3": 10000}}"#), Ok(vec![(3, 10_000)]));
    }

    #[test]
    fn unknown_names_are_refused_with_what_exists() {
        assert_eq!(
            set(r#"{"weights": {"bleu": 1, "7": 1, "blue": 1}}"#).unwrap_err(),
            "unknown version or label 'bleu': the versions are 1, 2, 3; the labels are blue, gone; \
             unknown version or label '7': the versions are 1, 2, 3; the labels are blue, gone"
        );
        let dangling = set(r#"{"weights": {"gone": 1}}"#).unwrap_err();
        assert!(dangling.starts_with("unknown version or label 'gone'"), "{dangling}");
    }

    #[test]
    fn a_version_is_named_once_under_whichever_name() {
        let twice = "version 1 is named twice, as 'blue' and as '1'";
        assert_eq!(set(r#"{"weights": {"blue": 1, "1": 1}}"#).unwrap_err(), twice);
        let repeated = set(r#"{"weights": {"2": 1, "2": 5}}"#).unwrap_err();
        assert_eq!(repeated, "version 2 is named twice, as '2' and as '2'");
    }

    #[test]
    fn all_zero_and_none_at_all_are_refused() {
        for body in [r#"{"weights": {"1": 0, "2": 0}}"#, r#"{"weights": {}}"#] {
            assert_eq!(set(body).unwrap_err(), "at least one weight must be above 0");
        }
    }

    #[test]
    fn a_weight_is_an_integer_up_to_ten_thousand() {
        for bad in ["-1", "10001", "1.5", "1.0", "\"5\"", "null", "1e99", "99999999999999999999"] {
            let error = set(&format!(r#"{{"weights": {{"1": {bad}}}}}"#)).unwrap_err();
            assert!(error.starts_with("weight of '1' must be an integer between 0 and"), "{error}");
        }
    }

    #[test]
    fn other_documents_are_refused_with_the_expected_form() {
        for bad in ["", "{", "[]", "{}", r#"{"weights": []}"#, r#"{"weights": {}, "labels": {}}"#] {
            let error = set(bad).unwrap_err();
            assert!(error.starts_with("expected {\"weights\": {"), "{bad}: {error}");
        }
        let name = set(r#"{"weights": {"0": 1}}"#).unwrap_err();
        assert_eq!(name, "weight of '0': version '0' is not a positive integer");
    }
}
