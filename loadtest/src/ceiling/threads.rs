//! How the machine's cores are given to a model: so many instances side by side, each with so many threads.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// More of either is a mistake of typing.
const MOST: usize = 1024;

/// Written as `2x1`: instances, and threads within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threads {
    pub instances: NonZeroUsize,
    pub intra_op: NonZeroUsize,
}

impl Threads {
    /// One thread alone, then all cores used either way.
    pub fn usual(cores: NonZeroUsize) -> Vec<Self> {
        let one = NonZeroUsize::MIN;
        let alone = Self { instances: one, intra_op: one };
        if cores == one {
            return vec![alone];
        }
        vec![
            alone,
            Self { instances: cores, intra_op: one },
            Self { instances: one, intra_op: cores },
        ]
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.instances, self.intra_op)
    }
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |text: &str| text.parse::<NonZeroUsize>().ok().filter(|number| number.get() <= MOST);
        text.split_once('x')
            .and_then(|(instances, intra_op)| {
                Some(Self { instances: number(instances)?, intra_op: number(intra_op)? })
            })
            .ok_or_else(|| format!("expected instances x threads, such as 2x1, got '{text}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_read_back_as_they_are_shown() {
        for text in ["1x1", "2x1", "1x8"] {
            assert_eq!(text.parse::<Threads>().unwrap().to_string(), text);
        }
        for text in ["", "2", "0x1", "1x0", "2x", "ax1", "1x1x1", "-1x1", "9999x1"] {
            let error = text.parse::<Threads>().unwrap_err();
            assert!(error.contains("such as 2x1"), "{error}");
        }
    }

    #[test]
    fn the_usual_ones_use_every_core_both_ways_and_name_none_twice() {
        let shown = |cores| {
            let usual = Threads::usual(NonZeroUsize::new(cores).unwrap());
            usual.iter().map(Threads::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown(1), ["1x1"]);
        assert_eq!(shown(2), ["1x1", "2x1", "1x2"]);
    }
}
