//! Recorded arrivals: one offset in seconds a line, from 0 and ascending, `#` for comments.
//!
//! A header line and further columns, separated by commas, are passed over, so that most CSV logs serve as they are once the
//! time is their first column. Size and span are bounded: a file is a stranger.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

const MOST_REQUESTS: usize = 10_000_000;
const MOST_BYTES: u64 = 1 << 30;
const LONGEST_LINE: u64 = 4096;
const LATEST: f64 = 30.0 * 24.0 * 3600.0;

/// Offsets from a file, with the speed at which they are replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub(super) file: PathBuf,
    /// 1 as recorded, 2 twice as fast.
    pub(super) speed: f64,
    /// Nanoseconds, as recorded.
    offsets: Arc<[u64]>,
}

#[derive(Debug, Error)]
pub enum TraceError {
    #[error("trace {}: {error}", file.display())]
    Unreadable { file: PathBuf, error: std::io::Error },
    #[error("trace {}, line {line}: expected {expected}, got {got:?}", file.display())]
    Line { file: PathBuf, line: usize, expected: &'static str, got: String },
    #[error("trace {}: {what}", file.display())]
    Whole { file: PathBuf, what: String },
}

impl Trace {
    pub fn read(file: &Path) -> Result<Self, TraceError> {
        let opened = File::open(file)
            .map_err(|error| TraceError::Unreadable { file: file.to_owned(), error })?;
        Self::parse(file, BufReader::new(opened))
    }

    /// `file` is only for the errors.
    fn parse(file: &Path, text: impl BufRead) -> Result<Self, TraceError> {
        let file = file.to_owned();
        let whole = |what: String| TraceError::Whole { file: file.clone(), what };
        let mut text = text.take(MOST_BYTES);
        let mut offsets = Vec::new();
        let (mut line, mut number) = (String::new(), 0);
        let mut header_seen = false;
        loop {
            line.clear();
            number += 1;
            let read = (&mut text)
                .take(LONGEST_LINE)
                .read_line(&mut line)
                .map_err(|error| TraceError::Unreadable { file: file.clone(), error })?;
            if read == 0 {
                break;
            }
            let refused = |expected| TraceError::Line {
                file: file.clone(),
                line: number,
                expected,
                got: line.trim().chars().take(60).collect(),
            };
            if read as u64 == LONGEST_LINE {
                return Err(refused("at most 4095 bytes in a line"));
            }
            let field = line.split(['#', ',']).next().unwrap_or_default().trim();
            if field.is_empty() {
                continue;
            }
            match field.parse::<f64>() {
                Ok(seconds) if (0.0..=LATEST).contains(&seconds) => {
                    let offset = (seconds * 1e9).round() as u64;
                    if offsets.last().is_some_and(|last| offset < *last) {
                        return Err(refused("an offset that is not before the last one"));
                    }
                    offsets.push(offset);
                }
                Err(_) if offsets.is_empty() && !header_seen => header_seen = true,
                _ => return Err(refused("an offset in seconds, from 0 to 30 days")),
            }
            if offsets.len() > MOST_REQUESTS {
                return Err(whole(format!("more than {MOST_REQUESTS} requests")));
            }
        }
        if text.limit() == 0 {
            return Err(whole("larger than 1 GiB".to_owned()));
        }
        if offsets.is_empty() {
            return Err(whole("expected one offset in seconds per line, found none".to_owned()));
        }
        Ok(Self { file, speed: 1.0, offsets: offsets.into() })
    }

    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub(super) fn offset(&self, index: usize) -> Option<Duration> {
        let nanoseconds = *self.offsets.get(index)?;
        Some(Duration::from_nanos((nanoseconds as f64 / self.speed).round() as u64))
    }

    pub(super) fn count_within(&self, length: Duration) -> usize {
        let limit = length.as_nanos() as f64;
        self.offsets.partition_point(|offset| (*offset as f64 / self.speed).round() < limit)
    }

    pub(super) fn faster(&self, factor: f64) -> Self {
        Self { speed: self.speed * factor, ..self.clone() }
    }
}

impl Default for Trace {
    /// Nothing was recorded.
    fn default() -> Self {
        Self { file: PathBuf::new(), speed: 1.0, offsets: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Trace, String> {
        Trace::parse(Path::new("a.csv"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_trace_is_one_offset_a_line() {
        let trace = parse("# recorded on Monday\nseconds,path\n0\n0.25, /a\n\n0.25 # again\n1e1\n")
            .unwrap();
        let offsets: Vec<_> = (0..).map_while(|index| trace.offset(index)).collect();
        let ms = Duration::from_millis;
        assert_eq!(offsets, [ms(0), ms(250), ms(250), ms(10_000)]);
    }

    #[test]
    fn a_trace_at_twice_the_speed_takes_half_the_time() {
        let trace = parse("0\n1\n2\n3\n").unwrap().faster(2.0);
        assert_eq!(trace.offset(3), Some(Duration::from_millis(1500)));
        assert_eq!(trace.count_within(Duration::from_secs(1)), 2);
    }

    #[test]
    fn what_is_no_trace_is_refused_with_its_line() {
        for (text, reason) in [
            ("", "trace a.csv: expected one offset in seconds per line, found none"),
            ("a\nb\n1\n", "line 2: expected an offset in seconds, from 0 to 30 days, got \"b\""),
            ("1\nx\n", "line 2: expected an offset in seconds"),
            ("1\n0.5\n", "line 2: expected an offset that is not before the last one, got \"0.5\""),
            ("-1\n", "line 1: expected an offset in seconds"),
            ("0\ninf\n", "line 2: expected an offset in seconds"),
            ("0\nNaN\n", "line 2: expected an offset in seconds"),
            ("0\n1e300\n", "line 2: expected an offset in seconds"),
            (&"9".repeat(5000), "line 1: expected at most 4095 bytes in a line"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let bytes = Trace::parse(Path::new("b"), [0xff, 0xfe, b'\n'].as_slice());
        assert!(bytes.unwrap_err().to_string().contains("trace b: "));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Trace::read(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.starts_with("trace /nowhere/at/all: "), "{error}");
    }
}
