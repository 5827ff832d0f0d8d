//! Which of the versions in a model's folder are served: a choice that a model's own configuration makes, or whoever
//! lists what is to be served.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use crate::Version;

/// Mistakes that are told of one list of versions.
const MAX_SHOWN: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionPolicy {
    #[default]
    All,
    /// So many, the highest numbers first.
    Latest(NonZeroUsize),
    Specific(BTreeSet<Version>),
}

impl VersionPolicy {
    /// Its choice among the versions that there are. A version that it names and that is not there is no mistake: the
    /// policy was written before the versions came and stays when they go.
    pub fn select(&self, there: &BTreeSet<Version>) -> BTreeSet<Version> {
        match self {
            Self::All => there.clone(),
            Self::Latest(count) => there.iter().rev().take(count.get()).copied().collect(),
            Self::Specific(named) => named.intersection(there).copied().collect(),
        }
    }

    /// Its choice, of which every version has to be there.
    ///
    /// # Errors
    /// Those that it names and that are not there; or that it names none.
    pub fn choose(&self, there: &BTreeSet<Version>) -> Result<BTreeSet<Version>, String> {
        let Self::Specific(named) = self else { return Ok(self.select(there)) };
        if named.is_empty() {
            return Err("its version policy names no version".to_owned());
        }
        let missing = named.difference(there).take(MAX_SHOWN);
        let missing: Vec<_> = missing.map(Version::to_string).collect();
        if missing.is_empty() {
            return Ok(named.clone());
        }
        let known: Vec<_> = there.iter().map(Version::to_string).collect();
        let (missing, known) = (missing.join(", "), known.join(", "));
        Err(format!("its version policy names {missing}, the versions are {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(numbers: &[u64]) -> BTreeSet<Version> {
        numbers.iter().map(|number| Version::new(*number).unwrap()).collect()
    }

    #[test]
    fn latest_takes_the_highest_numbers_and_no_more_than_there_are() {
        let latest = |count| VersionPolicy::Latest(NonZeroUsize::new(count).unwrap());
        let there = versions(&[1, 2, 10]);
        assert_eq!(latest(1).choose(&there), Ok(versions(&[10])));
        assert_eq!(latest(2).choose(&there), Ok(versions(&[2, 10])));
        assert_eq!(latest(9).choose(&there), Ok(there.clone()));
        assert_eq!(VersionPolicy::All.choose(&there), Ok(there));
    }

    #[test]
    fn specific_versions_have_to_be_there_to_be_chosen_and_not_to_be_selected() {
        let specific = |numbers: &[u64]| VersionPolicy::Specific(versions(numbers));
        let there = versions(&[1, 2]);
        assert_eq!(specific(&[2]).choose(&there), Ok(versions(&[2])));
        assert_eq!(
            specific(&[2, 3, 7]).choose(&there).unwrap_err(),
            "its version policy names 3, 7, the versions are 1, 2"
        );
        assert!(specific(&[]).choose(&there).is_err());
        assert_eq!(specific(&[2, 3, 7]).select(&there), versions(&[2]));
        assert_eq!(specific(&[3]).select(&there), versions(&[]));
    }
}
