//! Who asks, and when: callers who do not wait for answers, or a closed circle of those who do.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tidegate_configuration::parse_duration;

use crate::Failure;
use crate::arrivals::Pattern;

/// More callers than this are an open loop.
const MOST: usize = 1_000_000;

#[derive(Clone, Debug, PartialEq)]
pub enum Callers {
    Open(Pattern),
    /// So many, each of whom asks again so long after its answer.
    Closed {
        callers: usize,
        pause: Duration,
    },
}

impl Callers {
    /// Requests due in a second; none where that depends on the answers.
    pub fn rate(&self, length: Duration) -> Option<f64> {
        match self {
            Self::Open(pattern) => Some(pattern.mean_rate(length)),
            Self::Closed { .. } => None,
        }
    }
}

impl FromStr for Callers {
    type Err = Failure;

    /// `closed:8`, `closed:8@200us`, or a pattern of arrivals.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let Some(closed) = text.strip_prefix("closed:") else {
            let pattern =
                text.parse().map_err(|error| Failure::new(format!("{error}, or closed:CALLERS")));
            return pattern.map(Self::Open);
        };
        let wrong = || {
            Failure::new(format!(
                "expected closed:CALLERS or closed:CALLERS@PAUSE, at most {MOST} callers, got '{text}'"
            ))
        };
        let (callers, pause) = closed.split_once('@').unwrap_or((closed, "0s"));
        let callers = callers.parse().ok().filter(|callers| (1..=MOST).contains(callers));
        let pause = parse_duration(pause).map_err(|_| wrong())?;
        Ok(Self::Closed { callers: callers.ok_or_else(wrong)?, pause })
    }
}

impl fmt::Display for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(pattern) => pattern.fmt(f),
            Self::Closed { callers, pause } if pause.is_zero() => write!(f, "closed:{callers}"),
            Self::Closed { callers, pause } => {
                write!(f, "closed:{callers}@{}us", pause.as_micros())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_read_as_they_are_written() {
        for text in ["closed:8", "closed:8@200us", "poisson:500", "bursty:100/0@1s/1s"] {
            assert_eq!(text.parse::<Callers>().unwrap().to_string(), text);
        }
        for text in ["closed:", "closed:0", "closed:2000000", "closed:8@1", "often"] {
            let error = text.parse::<Callers>().unwrap_err().to_string();
            assert!(error.contains("closed:CALLERS"), "{error}");
        }
    }
}
