//! Entity tags (RFC 9110, section 8.8.3) and the `If-Match` condition: a write that says which
//! state it was made for is refused when another operator was faster.
//!
//! Tags are strong and name a model's labels and weights. The model's document carries the same tag
//! although it also tells version states, which nobody writes; so the admin API answers no
//! `If-None-Match`.

use std::fmt::{self, Write as _};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag(String);

impl Etag {
    pub(crate) fn of_hash(hash: &[u8]) -> Self {
        let mut text = String::from("\"");
        for byte in hash {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('"');
        Self(text)
    }

    /// As it stands in a header, quotes included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// For which current state a change is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IfMatch {
    /// No header, or `*`: whatever the state is.
    #[default]
    Any,
    /// Only when it is one of these.
    OneOf(Vec<Etag>),
}

impl IfMatch {
    /// Reads the field's value; several fields are joined with commas before.
    ///
    /// # Errors
    /// When it is neither `*` nor a list of entity tags.
    pub fn parse(field: &str) -> Result<Self, String> {
        let mut rest = field.trim();
        if rest == "*" {
            return Ok(Self::Any);
        }
        let fault = || format!("If-Match: expected * or a list of \"tags\", got {field:?}");
        let mut tags = Vec::new();
        loop {
            let weak = rest.starts_with("W/");
            let opened = rest.trim_start_matches("W/").strip_prefix('"').ok_or_else(fault)?;
            let (tag, after) = opened.split_once('"').ok_or_else(fault)?;
            // A weak tag never matches where the strong comparison is asked for.
            if !weak {
                tags.push(Etag(format!("\"{tag}\"")));
            }
            rest = after.trim_start();
            if rest.is_empty() {
                return Ok(Self::OneOf(tags));
            }
            rest = rest.strip_prefix(',').ok_or_else(fault)?.trim_start();
        }
    }

    pub fn allows(&self, current: &Etag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.contains(current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(field: &str) -> Option<bool> {
        let current = Etag("\"now\"".into());
        IfMatch::parse(field).ok().map(|condition| condition.allows(&current))
    }

    #[test]
    fn a_list_allows_when_one_of_its_strong_tags_is_current() {
        assert_eq!(allows("\"now\""), Some(true));
        assert_eq!(allows(" \"old\" , \"now\""), Some(true));
        assert_eq!(allows("\"old\",\"a,b\""), Some(false));
        assert_eq!(allows("\"\""), Some(false));
        assert_eq!(allows("W/\"now\""), Some(false));
        assert_eq!(allows("*"), Some(true));
    }

    #[test]
    fn what_is_not_a_list_of_tags_is_refused() {
        for bad in ["", "now", "\"now", "\"now\" \"old\"", "\"now\",", "*, \"now\"", "W/now"] {
            assert_eq!(allows(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_printed_tag_reads_back() {
        let tag = Etag::of_hash(&[0, 255]);
        assert_eq!(tag.as_str(), "\"00ff\"");
        assert_eq!(IfMatch::parse(tag.as_str()), Ok(IfMatch::OneOf(vec![tag])));
    }
}
