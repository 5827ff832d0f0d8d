//! The rules that are compared: those that the batcher has, and the candidates that lost against them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tidegate_batcher::rule::{Adaptive, Fixed, Rule};
use tidegate_configuration::parse_duration;

use super::candidates::{Aimd, Deferred};
use crate::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Adaptive,
    /// As soon as an instance is free.
    Eager,
    /// The oldest request waits at most so long for a full batch.
    Fixed(Duration),
    /// At the last moment that the SLO allows.
    Deferred,
    /// A cap that grows row by row, and shrinks when a run misses the SLO.
    Aimd,
}

impl Policy {
    /// # Errors
    /// When the policy cannot be without an SLO, and there is none.
    pub fn rule(self, max_rows: usize, slo: Option<Duration>) -> Result<Box<dyn Rule>, Failure> {
        let fixed = |max_queue_delay| Box::new(Fixed { batch_size: max_rows, max_queue_delay });
        let needed = || slo.ok_or_else(|| Failure::new(format!("the policy {self} needs --slo")));
        Ok(match self {
            Self::Adaptive => Box::new(Adaptive::default()),
            Self::Eager => fixed(Duration::ZERO),
            Self::Fixed(delay) => fixed(delay),
            Self::Deferred => needed().map(|_| Box::new(Deferred))?,
            Self::Aimd => Box::new(Aimd::new(needed()?)),
        })
    }
}

impl FromStr for Policy {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(format!(
                "expected adaptive, eager, fixed:DELAY, deferred or aimd, got '{text}'"
            ))
        };
        match text {
            "adaptive" => Ok(Self::Adaptive),
            "eager" => Ok(Self::Eager),
            "deferred" => Ok(Self::Deferred),
            "aimd" => Ok(Self::Aimd),
            _ => {
                let delay = text.strip_prefix("fixed:").ok_or_else(wrong)?;
                parse_duration(delay).map(Self::Fixed).map_err(|_| wrong())
            }
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adaptive => f.write_str("adaptive"),
            Self::Eager => f.write_str("eager"),
            Self::Fixed(delay) if delay.subsec_nanos().is_multiple_of(1_000_000) => {
                write!(f, "fixed:{}ms", delay.as_millis())
            }
            Self::Fixed(delay) => write!(f, "fixed:{}us", delay.as_micros()),
            Self::Deferred => f.write_str("deferred"),
            Self::Aimd => f.write_str("aimd"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_as_it_is_written() {
        for text in ["adaptive", "eager", "fixed:4ms", "fixed:250us", "deferred", "aimd"] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), text);
        }
        for text in ["", "fixed", "fixed:4", "clever"] {
            assert!(text.parse::<Policy>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_aims_at_an_slo_asks_for_one() {
        let without = |policy: Policy| policy.rule(8, None).is_ok();
        assert_eq!(
            [Policy::Adaptive, Policy::Eager, Policy::Deferred, Policy::Aimd].map(without),
            [true, true, false, false]
        );
    }
}
