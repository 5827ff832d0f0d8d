//! JSON taken apart without being read: where a value ends, and an object's members as they are written.

use bytes::Bytes;

use super::reader::Reader;
use crate::{DecodeError, JsonLimits};

const PLACE: &str = "not JSON";

/// How many bytes of `text` its first value takes. What follows is not looked at.
///
/// # Errors
/// When `text` does not begin with a JSON value.
pub fn value_length(text: &[u8], limits: JsonLimits) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(text, limits);
    reader.skip().map_err(|error| error.within(PLACE))?;
    Ok(text.len() - reader.remaining())
}

/// An object's members, in their order, with their values as they are written: windows into `text`.
///
/// # Errors
/// When `text` is not one JSON object.
pub fn members(text: &Bytes, limits: JsonLimits) -> Result<Vec<(String, Bytes)>, DecodeError> {
    let mut reader = Reader::new(text, limits);
    let mut members = Vec::new();
    let mut read = || {
        reader.object(|key, reader| {
            // Steps over white space, so that the value begins here.
            reader.peek()?;
            let start = text.len() - reader.remaining();
            reader.skip()?;
            members.push((key.to_owned(), text.slice(start..text.len() - reader.remaining())));
            Ok(())
        })?;
        reader.finish()
    };
    read().map_err(|error| error.within(PLACE))?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_where_its_last_bracket_closes() {
        for (text, length) in
            [(&b"{\"a\":[1,{}]}\x00\x01"[..], 12), (b" [1] x", 4), (b"1", 1), (b"NaN", 3)]
        {
            assert_eq!(value_length(text, JsonLimits::default()).unwrap(), length);
        }
        for text in [&b""[..], b"{", b"\x00{}", b"{\"a\"}"] {
            assert!(value_length(text, JsonLimits::default()).is_err());
        }
    }

    #[test]
    fn members_keep_the_text_of_their_values() {
        let read = |text: &'static str| members(&Bytes::from(text), JsonLimits::default());
        let found = read(r#" {"a" : [1, NaN] , "b\n":"x"} "#).unwrap();
        let expected = [("a", "[1, NaN]"), ("b\n", "\"x\"")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), Bytes::from(value))));
        assert_eq!(read("{}").unwrap(), []);
        for text in ["", "[1]", "{} {}", "{\"a\":1", "1"] {
            let refused = read(text).unwrap_err().to_string();
            assert!(refused.starts_with("not JSON: "), "{refused}");
        }
    }
}
