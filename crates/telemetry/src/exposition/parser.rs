//! A strict reader of the text format 0.0.4, for tests: what it accepts, Prometheus accepts.
//!
//! Stricter than Prometheus where that finds mistakes: each family has help and type, its samples follow
//! it directly, none is told twice, and a histogram's buckets grow up to a `+Inf` that equals its count.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub struct Exposition {
    kinds: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    /// Sorted by name.
    pub labels: Vec<(String, String)>,
    pub value: f64,
    /// It belongs to a counter or a histogram.
    pub monotonic: bool,
}

impl Exposition {
    pub fn kind(&self, family: &str) -> Option<&str> {
        self.kinds.get(family).map(String::as_str)
    }

    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut wanted: Vec<(String, String)> =
            labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        wanted.sort();
        let found = self.samples.iter().find(|s| s.name == name && s.labels == wanted);
        found.map(|sample| sample.value)
    }
}

pub fn parse(text: &str) -> Result<Exposition, String> {
    let mut exposition = Exposition::default();
    let mut seen = BTreeSet::new();
    let mut lines = text.lines().peekable();
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    while let Some(line) = lines.next() {
        let (family, help) = header(line, "# HELP ")?;
        let (typed, kind) = lines.next().map_or(Err("no type".into()), |l| header(l, "# TYPE "))?;
        if family != typed || help.is_empty() || !is_metric_name(family) {
            return Err(format!("{line:?} is not followed by its type, or is empty"));
        }
        if !["counter", "gauge", "histogram"].contains(&kind) {
            return Err(format!("{family}: unknown type {kind:?}"));
        }
        if exposition.kinds.insert(family.to_owned(), kind.to_owned()).is_some() {
            return Err(format!("{family} is told twice"));
        }
        let first = exposition.samples.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let sample = sample(line, kind != "gauge")?;
            if !belongs(&sample.name, family, kind) {
                return Err(format!("{line:?} is not of {family}"));
            }
            if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                return Err(format!("{line:?} is told twice"));
            }
            exposition.samples.push(sample);
        }
        if kind == "histogram" {
            check_histogram(family, &exposition.samples[first..])?;
        }
    }
    Ok(exposition)
}

fn header<'a>(line: &'a str, start: &str) -> Result<(&'a str, &'a str), String> {
    line.strip_prefix(start)
        .and_then(|rest| rest.split_once(' '))
        .ok_or_else(|| format!("expected {start:?}, got {line:?}"))
}

fn belongs(sample: &str, family: &str, kind: &str) -> bool {
    match sample.strip_prefix(family) {
        Some("") => kind != "histogram",
        Some("_bucket" | "_sum" | "_count") => kind == "histogram",
        _ => false,
    }
}

/// A metric's name may have colons, a label's may not.
fn is_metric_name(text: &str) -> bool {
    let bare: String = text.chars().filter(|c| *c != ':').collect();
    is_name(&bare) && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn sample(line: &str, monotonic: bool) -> Result<Sample, String> {
    let fault = |what: &str| format!("{what} in {line:?}");
    let end = line.find(['{', ' ']).ok_or_else(|| fault("no value"))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").ok_or_else(|| fault("no label"))?;
            let (value, after) = quoted(after).ok_or_else(|| fault("an open quote"))?;
            if !is_name(label) {
                return Err(fault("a bad label name"));
            }
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').ok_or_else(|| fault("no space"))?;
    let value = value.parse().map_err(|_| fault("a bad number"))?;
    labels.sort();
    Ok(Sample { name: name.to_owned(), labels, value, monotonic })
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

fn check_histogram(family: &str, samples: &[Sample]) -> Result<(), String> {
    let mut last: BTreeMap<Vec<(String, String)>, (f64, f64)> = BTreeMap::new();
    for bucket in samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
        let (le, series): (Vec<_>, Vec<_>) =
            bucket.labels.iter().cloned().partition(|(name, _)| name == "le");
        let bound: f64 = le.first().and_then(|(_, le)| le.parse().ok()).ok_or("no le")?;
        let before = last.insert(series, (bound, bucket.value));
        if before.is_some_and(|(le, count)| le >= bound || count > bucket.value) {
            return Err(format!("{family}: buckets do not grow at {bound}"));
        }
    }
    for count in samples.iter().filter(|sample| sample.name.ends_with("_count")) {
        if last.get(&count.labels) != Some(&(f64::INFINITY, count.value)) {
            return Err(format!("{family}: the +Inf bucket is not the count"));
        }
    }
    Ok(())
}
