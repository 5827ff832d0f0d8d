//! Patterns as people write them: `bursty:1000/50@1s/4s`. What is read is checked; what is written can be read again.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tidegate_configuration::Value;

use crate::arrivals::trace::{Trace, TraceError};
use crate::arrivals::{HIGHEST_RATE, Pattern};

const MOST_STEPS: usize = 1000;

#[derive(Debug, Error)]
pub enum PatternError {
    #[error(
        "arrivals {given:?}: expected constant:RATE, poisson:RATE, bursty:RATE/RATE@TIME/TIME, \
         steps:RATE@TIME,RATE@TIME..., ramp:RATE..RATE@TIME or trace:FILE"
    )]
    Kind { given: String },
    #[error("arrivals {given:?}: expected {expected}")]
    Form { given: String, expected: &'static str },
    #[error("{given:?} is no rate: expected requests per second, above 0 and at most 1000000")]
    Rate { given: String },
    #[error(
        "{given:?} is no time: expected a duration with its unit (us, ms, s, m or h), above 0 and at most a year"
    )]
    Time { given: String },
    #[error("{given:?} is no speed: expected a factor from 0.001 to 1000, such as \"2x\"")]
    Speed { given: String },
    #[error(transparent)]
    Trace(#[from] TraceError),
}

/// Requests per second, above 0; also for command lines.
pub fn rate(text: &str) -> Result<f64, PatternError> {
    rate_from(text, f64::MIN_POSITIVE)
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let form = |expected| PatternError::Form { given: text.to_owned(), expected };
        let (kind, rest) =
            text.split_once(':').ok_or_else(|| PatternError::Kind { given: text.to_owned() })?;
        match kind {
            "constant" => Ok(Self::Constant { rate: rate(rest)? }),
            "poisson" => Ok(Self::Poisson { rate: rate(rest)? }),
            "bursty" => {
                bursty(rest).ok_or_else(|| form("bursty:ON-RATE/OFF-RATE@ON-TIME/OFF-TIME"))?
            }
            "steps" => {
                steps(rest).ok_or_else(|| form("steps:RATE@TIME,RATE@TIME..., at most 1000"))?
            }
            "ramp" => ramp(rest).ok_or_else(|| form("ramp:RATE..RATE@TIME"))?,
            "trace" if !rest.is_empty() => trace(rest),
            "trace" => Err(form("trace:FILE or trace:FILE@SPEEDx")),
            _ => Err(PatternError::Kind { given: text.to_owned() }),
        }
    }
}

/// None where a separator is missing; the error inside is about one of the numbers.
type Read = Option<Result<Pattern, PatternError>>;

fn bursty(text: &str) -> Read {
    let (rates, times) = text.split_once('@')?;
    let (on_rate, off_rate) = rates.split_once('/')?;
    let (on, off) = times.split_once('/')?;
    let read = || {
        Ok(Pattern::Bursty {
            on_rate: rate(on_rate)?,
            off_rate: rate_from(off_rate, 0.0)?,
            on: time(on)?,
            off: time(off)?,
        })
    };
    Some(read())
}

fn steps(text: &str) -> Read {
    let steps: Vec<_> = text.split(',').map(|step| step.split_once('@')).collect::<Option<_>>()?;
    if steps.len() > MOST_STEPS {
        return None;
    }
    let read = |(at, long): (&str, &str)| Ok((rate(at)?, time(long)?));
    Some(steps.into_iter().map(read).collect::<Result<_, _>>().map(Pattern::Steps))
}

fn ramp(text: &str) -> Read {
    let (rates, over) = text.split_once('@')?;
    let (from, to) = rates.split_once("..")?;
    let read = || {
        let pattern = (rate_from(from, 0.0)?, rate_from(to, 0.0)?, time(over)?);
        match pattern {
            (0.0, 0.0, _) => Err(PatternError::Rate { given: rates.to_owned() }),
            (from, to, over) => Ok(Pattern::Ramp { from, to, over }),
        }
    };
    Some(read())
}

/// `FILE`, or `FILE@2x` to replay it faster.
fn trace(text: &str) -> Result<Pattern, PatternError> {
    let faster =
        text.rsplit_once('@').and_then(|(file, speed)| Some((file, speed.strip_suffix('x')?)));
    let (file, speed) = match faster {
        Some((file, speed)) => (file, speed_of(speed)?),
        None => (text, 1.0),
    };
    Ok(Pattern::Trace(Arc::new(Trace::read(Path::new(file))?.faster(speed))))
}

fn speed_of(text: &str) -> Result<f64, PatternError> {
    let refused = || PatternError::Speed { given: text.to_owned() };
    let speed: f64 = text.parse().map_err(|_| refused())?;
    if (0.001..=1000.0).contains(&speed) { Ok(speed) } else { Err(refused()) }
}

fn rate_from(text: &str, lowest: f64) -> Result<f64, PatternError> {
    let refused = || PatternError::Rate { given: text.to_owned() };
    let rate: f64 = text.trim().parse().map_err(|_| refused())?;
    if (lowest..=HIGHEST_RATE).contains(&rate) { Ok(rate) } else { Err(refused()) }
}

fn time(text: &str) -> Result<Duration, PatternError> {
    Duration::from_text(text.trim())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| PatternError::Time { given: text.to_owned() })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { rate } => write!(f, "constant:{rate}"),
            Self::Poisson { rate } => write!(f, "poisson:{rate}"),
            Self::Bursty { on_rate, off_rate, on, off } => {
                write!(f, "bursty:{on_rate}/{off_rate}@{}/{}", Time(*on), Time(*off))
            }
            Self::Steps(steps) => {
                f.write_str("steps:")?;
                for (index, (rate, time)) in steps.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{rate}@{}", Time(*time))?;
                }
                Ok(())
            }
            Self::Ramp { from, to, over } => write!(f, "ramp:{from}..{to}@{}", Time(*over)),
            Self::Trace(trace) if trace.speed == 1.0 => write!(f, "trace:{}", trace.file.display()),
            Self::Trace(trace) => write!(f, "trace:{}@{}x", trace.file.display(), trace.speed),
        }
    }
}

struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0;
        if time < Duration::from_secs(1) && time.subsec_nanos().is_multiple_of(1_000_000) {
            write!(f, "{}ms", time.as_millis())
        } else {
            write!(f, "{}s", time.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reads_as_it_is_written() {
        for text in [
            "constant:100",
            "poisson:0.5",
            "bursty:1000/50@1s/4s",
            "bursty:1000/0@250ms/1.5s",
            "steps:100@10s,200.25@10s",
            "ramp:100..1000@60s",
            "ramp:0..1000000@0.000001s",
        ] {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), text);
        }
    }

    #[test]
    fn a_trace_reads_as_it_is_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0\n1\n").unwrap();
        for text in [
            format!("trace:{}", file.path().display()),
            format!("trace:{}@2.5x", file.path().display()),
        ] {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (text, reason) in [
            ("100", "expected constant:RATE"),
            ("uniform:100", "expected constant:RATE"),
            ("constant:", "\"\" is no rate"),
            ("constant:0", "\"0\" is no rate"),
            ("constant:-1", "is no rate"),
            ("constant:inf", "is no rate"),
            ("poisson:NaN", "is no rate"),
            ("poisson:1000001", "at most 1000000"),
            ("bursty:1000", "expected bursty:ON-RATE/OFF-RATE@ON-TIME/OFF-TIME"),
            ("bursty:0/1@1s/1s", "\"0\" is no rate"),
            ("bursty:1/1@1s/0s", "\"0s\" is no time"),
            ("steps:", "expected steps:"),
            ("steps:1@1", "\"1\" is no time"),
            ("ramp:1-2@1s", "expected ramp:"),
            ("ramp:0..0@1s", "\"0..0\" is no rate"),
            ("ramp:1..2@9000h", "at most a year"),
            ("trace:", "expected trace:FILE"),
            ("trace:a@0x", "\"0\" is no speed"),
            ("trace:/nowhere/at/all", "trace /nowhere/at/all: "),
        ] {
            let error = text.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let many = format!("steps:{}", vec!["1@1s"; 1001].join(","));
        assert!(many.parse::<Pattern>().is_err());
    }
}
