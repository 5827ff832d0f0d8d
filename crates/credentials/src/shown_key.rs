//! A key to be shown to another gateway, by the commands that ask one.

use std::fmt;
use std::path::Path;

use http::HeaderValue;

use crate::file::{self, KeyFileError};
use crate::keys::contents;

/// Ready to be sent as `Authorization`; it is not printed.
#[derive(Clone)]
pub struct ShownKey(HeaderValue);

impl ShownKey {
    /// The first key of a file, with or without a name.
    ///
    /// # Errors
    /// When the file cannot be used, or holds only a hash of the key.
    pub fn first_of(file: &Path) -> Result<Self, KeyFileError> {
        let key = file::first_key(file, &contents(file)?)?;
        let bearer = HeaderValue::try_from(format!("Bearer {key}"));
        let mut bearer = bearer.expect("a key is of printable ASCII characters");
        bearer.set_sensitive(true);
        Ok(Self(bearer))
    }

    pub fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for ShownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_and_not_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "web 0123456789abcdef-web\n").unwrap();
        let key = ShownKey::first_of(&file).unwrap();
        assert_eq!(key.authorization(), "Bearer 0123456789abcdef-web");
        assert!(!format!("{key:?} {:?}", key.authorization()).contains("0123456789"));
    }
}
