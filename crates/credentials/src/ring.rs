//! The keys of one reading of the file, and the search for the one that was shown.
//!
//! The search compares with every key and picks without a branch, so that its time tells neither which key it was nor
//! how much of one was guessed.

use std::sync::Arc;

use subtle::{Choice, ConditionallySelectable};
use tidegate_telemetry::KeyMetrics;

use crate::digest::Digest;
use crate::scope::Scopes;

/// One key, known by its name.
#[derive(Debug)]
pub struct Key {
    pub name: String,
    pub scopes: Scopes,
    /// Taken when the file was read, so that a request looks nothing up.
    pub metrics: KeyMetrics,
}

#[derive(Debug)]
pub struct Ring {
    /// In the order of `keys`, and apart from them: this is all that a search reads.
    digests: Vec<Digest>,
    keys: Vec<Arc<Key>>,
}

impl Ring {
    pub fn new(keys: impl IntoIterator<Item = (Digest, Key)>) -> Self {
        let (digests, keys) = keys.into_iter().map(|(digest, key)| (digest, Arc::new(key))).unzip();
        Self { digests, keys }
    }

    pub fn find(&self, shown: &Digest) -> Option<&Arc<Key>> {
        let place = place_of(&self.digests, |digest| digest.same(shown));
        place.map(|place| &self.keys[place])
    }

    pub fn names(&self) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| &*key.name).collect();
        names.join(", ")
    }
}

/// The last of those that are the same; all of them are asked.
fn place_of<T>(all: &[T], mut same: impl FnMut(&T) -> Choice) -> Option<usize> {
    // Places count from 1 here, so that 0 is none: there is no `Option` that is chosen without a branch.
    let mut found = 0_u32;
    for (place, one) in (1..).zip(all) {
        found.conditional_assign(&place, same(one));
    }
    found.checked_sub(1).map(|place| place as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_compared_wherever_the_same_one_stands() {
        for sought in [0, 1, 4, 9] {
            let mut asked = Vec::new();
            let place = place_of(&[0, 1, 2, 3, 4], |one| {
                asked.push(*one);
                Choice::from(u8::from(*one == sought))
            });
            assert_eq!(place, (sought < 5).then_some(sought));
            assert_eq!(asked, [0, 1, 2, 3, 4], "{sought}");
        }
        assert_eq!(place_of(&[0; 0], |_| Choice::from(1)), None);
    }
}
