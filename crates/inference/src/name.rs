//! Names of models and labels. A model name is also a folder name in the model repository, so it
//! cannot climb out of it; a label cannot be mistaken for a version number.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::{Error, Result};

const MAX_BYTES: usize = 255;

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        /// Maps keyed by the name can be asked with a `&str`.
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// A model's name: 1 to 255 bytes, no `/`, `\`, `:` or control characters, not starting with a dot.
    ModelName
);
name_type!(
    /// A movable name for a version, such as `blue` or `stable`: like a model name, and not a number.
    Label
);

impl ModelName {
    pub fn new(name: &str) -> Result<Self> {
        check("model name", name)?;
        Ok(Self(name.into()))
    }
}

impl Label {
    pub fn new(label: &str) -> Result<Self> {
        check("label", label)?;
        if label.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::invalid(format!(
                "label '{label}' must not be a number: it would read as a version"
            )));
        }
        Ok(Self(label.into()))
    }
}

fn check(what: &str, name: &str) -> Result<()> {
    let fault = if name.is_empty() {
        "must not be empty"
    } else if name.len() > MAX_BYTES {
        "must be at most 255 bytes long"
    } else if name.starts_with('.') {
        "must not start with a dot"
    } else if name.chars().any(|c| matches!(c, '/' | '\\' | ':') || c.is_control()) {
        "must not contain '/', '\\', ':' or control characters"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(64).collect();
    Err(Error::invalid(format!("{what} {shown:?} {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_name_cannot_leave_the_repository() {
        for bad in ["", ".", "..", "../etc", "a/b", "a\\b", "a:b", "a\nb", &"x".repeat(256)] {
            assert!(ModelName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["digits", "Digits v2", "ünï", "a.b-c_d"] {
            assert_eq!(ModelName::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_label_is_not_a_number() {
        assert!(Label::new("12").is_err());
        assert!(Label::new("v12").is_ok());
    }
}
