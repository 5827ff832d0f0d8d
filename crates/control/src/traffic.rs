//! What an operator may change of a model while it serves: its labels and its weights. And the tag by
//! which two operators notice each other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tidegate_inference::{Label, Version};

use crate::Etag;
use crate::weights::{Weights, listed};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub labels: BTreeMap<Label, Version>,
    /// `None` until weights are set for the first time: the newest ready version gets everything.
    pub weights: Option<Weights>,
}

impl Traffic {
    /// Labels and weights for a log line.
    pub fn shown(&self) -> (String, String) {
        let labels = self.labels.iter().map(|(label, version)| format!("{label}={version}"));
        let weights = self.weights.iter().flat_map(Weights::iter);
        let weights = weights.map(|(version, weight)| format!("{version}={}", weight.get()));
        (listed(labels), listed(weights))
    }

    /// A hash of the content: stable over restarts, the same on every replica that agrees, and the
    /// same again when a change was undone.
    pub fn etag(&self) -> Etag {
        let mut text = String::new();
        for (label, version) in &self.labels {
            // Neither the end of a line nor a colon can occur in a label.
            let _ = writeln!(text, "label:{label}:{version}");
        }
        for (version, weight) in self.weights.iter().flat_map(Weights::iter) {
            let _ = writeln!(text, "weight:{version}:{}", weight.get());
        }
        let hash = Sha256::digest(text.as_bytes());
        Etag::of_hash(&hash[..8])
    }
}

#[cfg(test)]
mod tests {
    use tidegate_router::Weight;

    use super::*;
    use crate::testing::{label, version};

    #[test]
    fn the_tag_follows_the_content() {
        let weights =
            |share| Some(Weights::new([(version(1), Weight::new(share).unwrap())]).unwrap());
        let none = Traffic::default();
        let labelled =
            Traffic { labels: [(label("blue"), version(1))].into(), ..Traffic::default() };
        let one = Traffic { weights: weights(1), ..Traffic::default() };
        let two = Traffic { weights: weights(2), ..Traffic::default() };
        let tags = [&none, &labelled, &one, &two].map(Traffic::etag);
        for (index, tag) in tags.iter().enumerate() {
            assert!(!tags[..index].contains(tag));
        }
        assert_eq!(two.clone().etag(), two.etag());
        // Written down, because an upgrade must not change what operators hold in their hands.
        assert_eq!(none.etag().to_string(), "\"e3b0c44298fc1c14\"");
    }
}
