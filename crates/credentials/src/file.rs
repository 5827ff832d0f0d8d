//! The file of keys: one key a line, `NAME KEY [SCOPES]`, or a lone `KEY` that goes by the file's name.
//!
//! A mistake is told by its line and never by a word of it: whoever swaps two columns has written a key where a name
//! belongs. All mistakes are found at once, up to a limit.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use tidegate_inference::Label;

use crate::digest::{Digest, HEX_DIGITS};
use crate::scope::Scopes;

const MAX_BYTES: usize = 64 * 1024;
const MAX_KEYS: usize = 256;
/// Characters of a key; a hash in the file may be of no other.
pub const LENGTHS: RangeInclusive<usize> = 16..=512;
const HASHED: &str = "sha256:";
const MAX_MISTAKES: usize = 16;

/// A line's key.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    pub digest: Digest,
    pub scopes: Scopes,
    line: usize,
}

/// Why a file of keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFileError {
    pub file: PathBuf,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From 1; none when it is the file as a whole.
    pub line: Option<usize>,
    pub message: String,
}

/// The whole file. Reads a little more than it may hold, so that too much is noticed and not read.
///
/// # Errors
/// When it cannot be read.
pub fn contents(file: &Path) -> io::Result<Vec<u8>> {
    // A pipe would keep its reader waiting.
    if !std::fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut contents = Vec::new();
    File::open(file)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut contents)?;
    Ok(contents)
}

/// The first key itself, for whoever is to show it.
///
/// # Errors
/// Everything that is wrong, or that only a hash of the key is there.
pub fn first_key(file: &Path, contents: &[u8]) -> Result<String, KeyFileError> {
    let first = parse(file, contents)?.remove(0);
    let text = str::from_utf8(contents).unwrap_or_default();
    let words = lines(text).next().map(|(_, words)| words).unwrap_or_default();
    match words[..] {
        [key] | [_, key, ..] if !key.starts_with(HASHED) => Ok(key.to_owned()),
        _ => {
            let message = "expected the key itself, got a hash of it";
            Err(KeyFileError::at(file, vec![Mistake::in_line(first.line, message)]))
        }
    }
}

/// # Errors
/// Everything that is wrong.
pub fn parse(file: &Path, contents: &[u8]) -> Result<Vec<Entry>, KeyFileError> {
    let whole = |message: String| KeyFileError::of(file, message);
    if contents.len() > MAX_BYTES {
        return Err(whole(format!("expected at most {MAX_BYTES} bytes, got more")));
    }
    let text = str::from_utf8(contents).map_err(|error| {
        let before = &contents[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        KeyFileError::at(file, vec![Mistake::in_line(line, "expected text in UTF-8")])
    })?;
    let lines: Vec<_> = lines(text).collect();
    match lines.len() {
        0 => return Err(whole("expected a key, got none".to_owned())),
        count if count > MAX_KEYS => {
            return Err(whole(format!("expected at most {MAX_KEYS} keys, got {count}")));
        }
        _ => {}
    }
    let alone = lines.len() == 1;
    let mut entries: Vec<Entry> = Vec::with_capacity(lines.len());
    let mut mistakes = Vec::new();
    for (line, words) in lines {
        let read = entry(file, alone, line, &words).and_then(|entry| fits(&entries, entry));
        match read {
            Ok(entry) => entries.push(entry),
            Err(message) => mistakes.push(Mistake::in_line(line, message)),
        }
    }
    mistakes.truncate(MAX_MISTAKES);
    if mistakes.is_empty() { Ok(entries) } else { Err(KeyFileError::at(file, mistakes)) }
}

/// The words of each line that is neither empty nor a comment, and its number.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let words = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    (1..).zip(words).filter(|(_, words)| words.first().is_some_and(|word| !word.starts_with('#')))
}

fn entry(file: &Path, alone: bool, line: usize, words: &[&str]) -> Result<Entry, String> {
    let (name, key, scopes) = match *words {
        [key] if alone => (name_of(file)?, key, Scopes::ALL),
        [_] => return Err("expected NAME KEY: a key without a name must be the only one".into()),
        [name, key] => (checked_name(name)?, key, Scopes::ALL),
        [name, key, scopes] => (checked_name(name)?, key, read_scopes(scopes)?),
        _ => return Err(format!("expected NAME KEY SCOPES, got {} words", words.len())),
    };
    Ok(Entry { name, digest: digest(key)?, scopes, line })
}

/// Of the file's own name: it is no secret, and may be shown.
fn name_of(file: &Path) -> Result<String, String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let expected = |error: tidegate_inference::Error| {
        format!("expected NAME KEY: the file's name cannot name the key, {error}")
    };
    Label::new(&name).map(|name| name.as_str().to_owned()).map_err(expected)
}

fn checked_name(name: &str) -> Result<String, String> {
    let expected = "expected a name as the first word: no number, no '/', '\\' or ':', not starting with a dot";
    Label::new(name).map(|name| name.as_str().to_owned()).map_err(|_| expected.to_owned())
}

fn read_scopes(list: &str) -> Result<Scopes, String> {
    let expected = "expected scopes as the third word: predict, admin, metrics, with commas and no spaces between them";
    Scopes::parse(list).ok_or_else(|| expected.to_owned())
}

fn digest(key: &str) -> Result<Digest, String> {
    if let Some(hex) = key.strip_prefix(HASHED) {
        return Digest::from_hex(hex).ok_or_else(|| {
            format!("expected {HEX_DIGITS} hexadecimal digits behind '{HASHED}' of the key")
        });
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("expected a key of printable ASCII characters".to_owned());
    }
    if !LENGTHS.contains(&key.len()) {
        let (shortest, longest, length) = (LENGTHS.start(), LENGTHS.end(), key.len());
        return Err(format!(
            "expected a key of {shortest} to {longest} characters, got one of {length}"
        ));
    }
    Ok(Digest::of(key.as_bytes()))
}

/// No two names are the same, and no two keys.
fn fits(before: &[Entry], entry: Entry) -> Result<Entry, String> {
    for other in before {
        let line = other.line;
        if other.name == entry.name {
            return Err(format!("expected another name than in line {line}"));
        }
        if other.digest.same(&entry.digest).into() {
            return Err(format!("expected another key than in line {line}"));
        }
    }
    Ok(entry)
}

impl KeyFileError {
    pub(crate) fn of(file: &Path, message: String) -> Self {
        Self::at(file, vec![Mistake { line: None, message }])
    }

    /// Each mistake with its place: `FILE:LINE: what is wrong`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let file = self.file.display();
        self.mistakes.iter().map(move |Mistake { line, message }| match line {
            Some(line) => format!("{file}:{line}: {message}"),
            None => format!("{file}: {message}"),
        })
    }

    fn at(file: &Path, mistakes: Vec<Mistake>) -> Self {
        Self { file: file.to_owned(), mistakes }
    }
}

impl Mistake {
    fn in_line(line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into() }
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("; "))
    }
}

impl std::error::Error for KeyFileError {}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
