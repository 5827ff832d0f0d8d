//! Makes the route table out of the current state.
//!
//! A model's split is its weights restricted to the versions that are ready. When those did not
//! change, the old split stays, the very object: it counts the requests it has given out, and a fresh
//! count would start the low-discrepancy sequence again at every unrelated change.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_inference::{Catalog, Version, VersionState};
use tidegate_router::{ModelRoute, RouteTable, TrafficSplit, Weight};

use crate::model_set::{CurrentSplit, Model, ModelSet};
use crate::weights::Weights;

/// Of the versions that have failed, so many are named where nothing can be served.
const FAILURES_TOLD: usize = 5;

impl ModelSet {
    pub fn route_table(&mut self) -> RouteTable {
        let withheld = self.waits_for_traffic_file();
        let routes =
            self.models.iter_mut().map(|(name, model)| (name.clone(), model.route(withheld)));
        let routes = routes.collect();
        RouteTable { catalog: Arc::new(self.catalog()), routes }
    }

    fn catalog(&self) -> Catalog {
        Catalog {
            ready: self.why_not_ready().is_none(),
            default_model: self.default_model.clone(),
            models: self.models.iter().map(|(name, model)| (name.clone(), model.entry())).collect(),
        }
    }

    /// Every version was tried and one at least can be served, and it is known how traffic is split. A version that
    /// failed does not hold the gateway back: its state says so, and restarting the process would not mend it.
    pub fn why_not_ready(&self) -> Option<String> {
        if self.stopping {
            return Some("the gateway is stopping".to_owned());
        }
        if !self.first_pass_ended {
            return Some("models are loading".to_owned());
        }
        if let Some(file) = self.traffic_file.as_ref().filter(|file| !file.was_in_force()) {
            let problem = file.problem().unwrap_or("it was not read yet");
            let path = file.path.display();
            return Some(format!("the traffic file {path} cannot be put in force: {problem}"));
        }
        let is_served = self.models.values().any(|model| model.ready().next().is_some());
        (!is_served).then(|| self.why_none_is_ready())
    }

    fn why_none_is_ready(&self) -> String {
        let versions = self.models.iter().flat_map(|(name, model)| {
            model.versions.iter().map(move |(number, version)| (name, number, &version.entry))
        });
        let failed = versions.filter(|(_, _, entry)| entry.state == VersionState::Failed);
        let failed: Vec<String> = failed
            .take(FAILURES_TOLD)
            .map(|(name, number, entry)| {
                let reason = entry.reason.as_deref().unwrap_or("no reason is known");
                format!("{name} version {number} has failed: {reason}")
            })
            .collect();
        if failed.is_empty() {
            return "no version of any model is loaded".to_owned();
        }
        format!("no version can be served: {}", failed.join("; "))
    }
}

impl Model {
    fn ready(&self) -> impl DoubleEndedIterator<Item = Version> {
        self.versions
            .iter()
            .filter(|(_, version)| version.entry.state == VersionState::Ready)
            .map(|(number, _)| *number)
    }

    /// `withheld`: how traffic is split is not known yet, so nobody gets any.
    fn route(&mut self, withheld: bool) -> ModelRoute {
        let effective = if withheld {
            BTreeMap::new()
        } else {
            effective(self.traffic.weights.as_ref(), self.ready())
        };
        self.split.become_split_of(effective);
        let lanes = self
            .versions
            .iter()
            .filter(|(_, version)| version.entry.state == VersionState::Ready)
            .filter_map(|(n, version)| Some((*n, Arc::clone(&version.running.as_ref()?.lane))))
            .collect();
        ModelRoute { split: self.split.split.clone(), lanes }
    }
}

impl CurrentSplit {
    fn become_split_of(&mut self, weights: BTreeMap<Version, Weight>) {
        if weights != self.weights {
            // Of nothing no split can be made: weighted requests are refused then.
            self.split = TrafficSplit::new(&weights).ok().map(Arc::new);
            self.weights = weights;
        }
    }
}

/// Shares above zero among the ready versions, given in ascending order.
///
/// Without weights the newest takes everything, as TensorFlow Serving does it. With weights, a version
/// that they give nothing gets nothing, even when it is the only one left.
fn effective(
    weights: Option<&Weights>,
    ready: impl DoubleEndedIterator<Item = Version>,
) -> BTreeMap<Version, Weight> {
    let Some(weights) = weights else {
        let newest = ready.rev().take(1);
        let all = Weight::new(1).expect("1 is a weight");
        return newest.map(|version| (version, all)).collect();
    };
    let ready: Vec<Version> = ready.collect();
    weights.iter().filter(|(version, _)| ready.contains(version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{version, weights};

    fn shares(set: Option<&[(u64, u32)]>, ready: &[u64]) -> Vec<(u64, u32)> {
        let weights = set.map(weights);
        effective(weights.as_ref(), ready.iter().map(|number| version(*number)))
            .into_iter()
            .map(|(version, weight)| (version.get(), weight.get()))
            .collect()
    }

    #[test]
    fn without_weights_the_newest_ready_version_takes_all() {
        assert_eq!(shares(None, &[1, 2, 10]), [(10, 1)]);
        assert_eq!(shares(None, &[]), []);
    }

    #[test]
    fn weights_count_among_the_ready_versions_only() {
        let set = Some(&[(1, 90), (2, 10)][..]);
        assert_eq!(shares(set, &[1, 2, 3]), [(1, 90), (2, 10)]);
        assert_eq!(shares(set, &[2, 3]), [(2, 10)]);
    }

    #[test]
    fn a_version_without_weight_does_not_stand_in_for_the_others() {
        assert_eq!(shares(Some(&[(1, 90)]), &[2, 3]), []);
    }

    #[test]
    fn the_split_stays_the_same_object_while_its_weights_do() {
        let of = |pairs: &[(u64, u32)]| weights(pairs).iter().collect::<BTreeMap<_, _>>();
        let mut current = CurrentSplit::default();
        current.become_split_of(of(&[(1, 90), (2, 10)]));
        let first = current.split.clone().unwrap();
        current.become_split_of(of(&[(1, 90), (2, 10)]));
        assert!(Arc::ptr_eq(&first, current.split.as_ref().unwrap()));
        current.become_split_of(of(&[(1, 10), (2, 90)]));
        assert!(!Arc::ptr_eq(&first, current.split.as_ref().unwrap()));
        current.become_split_of(BTreeMap::new());
        assert!(current.split.is_none());
    }
}
