//! SHA-256 of a file, and its text: 64 hexadecimal digits.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest;

/// Large enough that calls to the system cost nothing beside hashing.
const CHUNK: usize = 256 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// # Errors
    /// When the file cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let (sha256, _) = Self::while_reading(&mut File::open(path)?, |_| Ok(()))?;
        Ok(sha256)
    }

    /// Hashes all that there is to read, and hands each piece on. Says how many bytes it were.
    ///
    /// # Errors
    /// When the reader or the receiver fails.
    pub(crate) fn while_reading(
        reader: &mut impl Read,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<(Self, u64)> {
        let mut digest = sha2::Sha256::new();
        let mut chunk = vec![0; CHUNK];
        let mut size = 0;
        loop {
            let count = match reader.read(&mut chunk) {
                Ok(0) => return Ok((Self(digest.finalize().into()), size)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            digest.update(&chunk[..count]);
            each(&chunk[..count])?;
            size += count as u64;
        }
    }

    /// The first twelve digits: enough to tell versions apart in a table.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text that was no hash.
#[derive(Debug, thiserror::Error)]
#[error("expected a SHA-256, 64 hexadecimal digits in small letters, got {0:?}")]
pub struct NoSha256(String);

impl FromStr for Sha256 {
    type Err = NoSha256;

    fn from_str(text: &str) -> Result<Self, NoSha256> {
        let no = || NoSha256(text.chars().take(80).collect());
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err(no());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| no())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| no())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Sha256 {
    type Error = NoSha256;

    fn try_from(text: String) -> Result<Self, NoSha256> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(sha256: Sha256) -> Self {
        sha256.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_hash_that_everybody_else_finds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha256::of_file(file.path()).unwrap().to_string(), text);
        assert_eq!(text.parse::<Sha256>().unwrap().to_string(), text);
    }

    #[test]
    fn only_64_small_digits_are_a_hash() {
        for bad in ["", "ba", &"A".repeat(64), &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert!(bad.parse::<Sha256>().is_err(), "{bad:?}");
        }
    }
}
