//! A key as it is kept: its SHA-256, which tells it from all others and gives nothing of it away.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub const HEX_DIGITS: usize = 64;

/// Compared only in constant time, so there is no `PartialEq`. In words of 64 bits, because each comparison of a word
/// costs a barrier against the optimiser: bytes took seven times as long.
#[derive(Clone, Copy)]
pub struct Digest([u64; 4]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_bytes(Sha256::digest(bytes).into())
    }

    /// `None` for anything but 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: [u8; HEX_DIGITS] = text.as_bytes().try_into().ok()?;
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok()?;
        }
        Some(Self::from_bytes(bytes))
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let mut digest = [0; 4];
        for (place, word) in digest.iter_mut().zip(words) {
            *place = u64::from_le_bytes(*word);
        }
        Self(digest)
    }

    pub fn same(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// Not even the digest: whoever chose a short key would have it guessed from the log.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_bytes_make_the_same_digest() {
        // FIPS 180-2, appendix B.1.
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015AD";
        assert!(bool::from(Digest::from_hex(hex).unwrap().same(&Digest::of(b"abc"))));
        assert!(!bool::from(Digest::from_hex(hex).unwrap().same(&Digest::of(b"abd"))));
        for bad in ["", &hex[1..], &hex.replace('b', "g"), &hex.replacen("ba", "ü", 1)] {
            assert!(Digest::from_hex(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_not_printed() {
        assert_eq!(format!("{:?}", Digest::of(b"abc")), "Digest(..)");
    }
}
