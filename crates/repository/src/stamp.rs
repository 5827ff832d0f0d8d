//! Who did something, and when; and what people call a version.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

const MAX_AUTHOR: usize = 128;
const MAX_NAME: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub at: Timestamp,
    pub by: Author,
}

macro_rules! text_type {
    ($(#[$doc:meta])* $type:ident, $expected:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = String;

            /// # Errors
            /// What was expected, and what came.
            fn from_str(text: &str) -> Result<Self, String> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) {
                    return Ok(Self(text.to_owned()));
                }
                let shown: String = text.chars().take(80).collect();
                Err(format!("expected {}, got {shown:?}", $expected))
            }
        }

        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(text: $type) -> Self {
                text.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_type!(
    /// Who pushed or activated a version, as they call themselves: nobody checks it.
    Author,
    "who does it, 1 to 128 bytes without control characters",
    |text| !text.is_empty() && text.len() <= MAX_AUTHOR && !text.chars().any(char::is_control)
);
text_type!(
    /// A version's name outside of the repository, such as `v1.0.0`.
    ReleaseName,
    "a name such as v1.0.0: 1 to 64 letters, digits, '.', '_', '-' and '+', the first a letter or digit",
    |text| text.len() <= MAX_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_short_word_and_an_author_fits_a_line() {
        for bad in ["", "-v1", "v 1", "v1/2", "vé", &"v".repeat(65)] {
            assert!(bad.parse::<ReleaseName>().is_err(), "{bad:?}");
        }
        assert_eq!("v1.0.0-rc_1+b".parse::<ReleaseName>().unwrap().as_str(), "v1.0.0-rc_1+b");
        for bad in ["", "a\nb", &"x".repeat(129)] {
            assert!(bad.parse::<Author>().is_err(), "{bad:?}");
        }
        assert_eq!("Zoë <z@example>".parse::<Author>().unwrap().as_str(), "Zoë <z@example>");
    }
}
