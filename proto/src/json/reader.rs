//! A cursor over JSON text: the caller asks for what it expects next, and nothing is kept that it
//! does not ask for. Copies of the cursor are cheap: take one to come back to a value later.
//!
//! Strict RFC 8259, with two openings that the wire contracts ask for: `NaN`, `Infinity` and `Inf`
//! count as numbers, and text after the first value is the caller's to accept or refuse
//! ([`Reader::finish`]). UTF-8 is checked where it can occur, in strings that are read.

use std::borrow::Cow;

use super::number::Number;
use super::{JsonError, JsonLimits};

pub(crate) type Result<T, E = Box<JsonError>> = std::result::Result<T, E>;

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    /// With its article, for messages.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Null => "null",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    max_depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8], limits: JsonLimits) -> Self {
        Self { text, at: 0, depth: 0, max_depth: limits.max_depth.min(JsonLimits::MAX_DEPTH) }
    }

    /// Bytes not read yet: no value can hold more elements than that.
    pub(crate) fn remaining(&self) -> usize {
        self.text.len() - self.at
    }

    /// The kind of the next value.
    pub(crate) fn peek(&mut self) -> Result<Kind> {
        match self.next_byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.fault("Invalid value.")),
            None => Err(self.fault("The document is empty or cut short.")),
        }
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        if self.next_byte() == Some(b't') {
            self.literal("true").map(|()| true)
        } else {
            self.literal("false").map(|()| false)
        }
    }

    pub(crate) fn null(&mut self) -> Result<()> {
        self.next_byte();
        self.literal("null")
    }

    /// The next number; `NaN` and infinities included.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Result<Number<'a>> {
        self.next_byte();
        let number =
            Number::scan(&self.text[self.at..]).ok_or_else(|| self.fault("Invalid value."))?;
        self.at += number.length();
        Ok(number)
    }

    /// Steps over a comma that a number follows; anything else is left where it is.
    #[inline(always)]
    pub(crate) fn skip_comma_before_number(&mut self) -> bool {
        let before = self.at;
        if self.next_byte() == Some(b',') {
            self.at += 1;
            if let Some(b'-' | b'0'..=b'9' | b'N' | b'I') = self.next_byte() {
                return true;
            }
        }
        self.at = before;
        false
    }

    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>> {
        let (quoted, escaped) = self.quoted()?;
        if escaped {
            // Escapes are rare and their rules (surrogates) intricate: serde_json knows them.
            return serde_json::from_slice(quoted)
                .map(Cow::Owned)
                .map_err(|_| self.fault("Invalid escape or encoding in string."));
        }
        std::str::from_utf8(&quoted[1..quoted.len() - 1])
            .map(Cow::Borrowed)
            .map_err(|_| self.fault("Invalid encoding in string."))
    }

    /// Reads an object; `field` must consume the value of each key.
    pub(crate) fn object(
        &mut self,
        mut field: impl FnMut(&str, &mut Self) -> Result<()>,
    ) -> Result<()> {
        self.enter(b'{')?;
        if !self.closes(b'}') {
            loop {
                if self.next_byte() != Some(b'"') {
                    return Err(self.fault("Missing a name for object member."));
                }
                let key = self.string()?;
                if self.next_byte() != Some(b':') {
                    return Err(self.fault("Missing a colon after a name of object member."));
                }
                self.at += 1;
                field(&key, self)?;
                if !self.continues(b'}', "Missing a comma or } after an object member.")? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads an array; `item` must consume each element.
    #[inline]
    pub(crate) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.enter(b'[')?;
        if !self.closes(b']') {
            loop {
                item(self)?;
                if !self.continues(b']', "Missing a comma or ] after an array element.")? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The first key of the object that comes next, which stays unread; `None` when it is empty.
    pub(crate) fn first_key(mut self) -> Result<Option<Cow<'a, str>>> {
        self.enter(b'{')?;
        if self.closes(b'}') { Ok(None) } else { self.string().map(Some) }
    }

    /// Reads the next value for nothing but its syntax.
    pub(crate) fn skip(&mut self) -> Result<()> {
        match self.peek()? {
            Kind::Object => self.object(|_, reader| reader.skip()),
            Kind::Array => self.array(Self::skip),
            Kind::String => self.quoted().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Bool => self.bool().map(drop),
            Kind::Null => self.null(),
        }
    }

    /// Nothing but white space may follow.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.fault("The document root must not be followed by other values.")),
        }
    }

    #[cold]
    pub(crate) fn fault(&self, problem: &'static str) -> Box<JsonError> {
        Box::new(JsonError::Syntax { problem, offset: self.at })
    }

    /// Skips white space and shows the byte after it.
    #[inline(always)]
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn enter(&mut self, open: u8) -> Result<()> {
        if self.next_byte() != Some(open) {
            return Err(self.fault("Invalid value."));
        }
        if self.depth >= self.max_depth {
            return Err(Box::new(JsonError::TooDeep { limit: self.max_depth }));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn closes(&mut self, close: u8) -> bool {
        let closes = self.next_byte() == Some(close);
        self.at += usize::from(closes);
        closes
    }

    /// After an element: a comma, or the end.
    #[inline]
    fn continues(&mut self, close: u8, otherwise: &'static str) -> Result<bool> {
        let byte = self.next_byte();
        if byte == Some(b',') || byte == Some(close) {
            self.at += 1;
            Ok(byte == Some(b','))
        } else {
            Err(self.fault(otherwise))
        }
    }

    fn literal(&mut self, word: &str) -> Result<()> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("Invalid value."));
        }
        self.at += word.len();
        Ok(())
    }

    /// The next string with its quotes, and whether it holds escapes.
    fn quoted(&mut self) -> Result<(&'a [u8], bool)> {
        if self.next_byte() != Some(b'"') {
            return Err(self.fault("Invalid value."));
        }
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..=0x1f) => return Err(self.fault("Control character in string.")),
                Some(_) => self.at += 1,
                None => {
                    self.at = self.text.len();
                    return Err(self.fault("Missing a closing quotation mark in string."));
                }
            }
        }
        self.at += 1;
        Ok((&self.text[start..self.at], escaped))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reader(text: &str) -> Reader<'_> {
        Reader::new(text.as_bytes(), JsonLimits::default())
    }

    fn accepts(text: &[u8]) -> bool {
        let mut reader = Reader::new(text, JsonLimits::default());
        reader.skip().and_then(|()| reader.finish()).is_ok()
    }

    #[test]
    fn it_accepts_and_refuses_what_serde_json_does() {
        for text in [
            "",
            " ",
            "{}",
            "[]",
            "[1,2]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1}",
            "{\"a\":}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "0",
            "-0",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "1e+",
            "1E-5",
            "1.5e3",
            "--1",
            "0x1",
            "true",
            "tru",
            "truee",
            "null",
            "nul",
            "\"\\u00e9\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"a\nb\"",
            "\"a",
            "\"a\\",
            "[",
            "{",
            "[[]",
            "]",
            "1 1",
            "[1]x",
            " [ 1 , { \"k\" : [ ] } ] ",
        ] {
            // `skip` does not look into strings, so read those.
            let ours = if text.starts_with('"') {
                reader(text).string().is_ok()
            } else {
                accepts(text.as_bytes())
            };
            let theirs = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(ours, theirs, "{text:?}");
        }
    }

    #[test]
    fn nan_and_infinity_are_numbers_in_every_spelling_of_rapidjson() {
        for text in ["NaN", "-NaN", "Infinity", "-Infinity", "Inf", "-Inf"] {
            assert_eq!(reader(text).number().unwrap().token(), text);
        }
        for text in ["nan", "Na", "infinity", "-I", "NaN1", "Infinit"] {
            assert!(!accepts(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn depth_is_limited_wherever_it_occurs() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepts(nested(100).as_bytes()));
        assert_eq!(
            reader(&nested(101)).skip().unwrap_err().to_string(),
            "JSON nesting depth exceeds maximum allowed limit (100)"
        );
        assert!(!accepts("[".repeat(1_000_000).as_bytes()));
        assert!(!accepts("{\"a\":".repeat(1_000_000).as_bytes()));
    }

    #[test]
    fn strings_are_borrowed_unless_they_hold_escapes() {
        assert!(matches!(reader("\"plain é\"").string().unwrap(), Cow::Borrowed("plain é")));
        assert_eq!(reader("\"\\\"\\u00e9\\n\\ud83d\\ude00\"").string().unwrap(), "\"é\n😀");
    }

    #[test]
    fn invalid_utf8_is_refused_in_strings_that_are_read() {
        let mut reader = Reader::new(b"\"\xff\"", JsonLimits::default());
        assert!(reader.string().is_err());
        let mut reader = Reader::new(b"\"\\n\xff\"", JsonLimits::default());
        assert!(reader.string().is_err());
        assert!(!accepts(b"[\xff]"));
    }

    #[test]
    fn a_copy_comes_back_to_a_value_at_its_depth() {
        let mut now = reader("{\"a\":[1,2],\"b\":3}");
        let mut later = None;
        now.object(|key, reader| {
            if key == "a" {
                later = Some(*reader);
            }
            reader.skip()
        })
        .unwrap();
        let mut seen = Vec::new();
        later
            .unwrap()
            .array(|reader| {
                seen.push(reader.number()?.token());
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, ["1", "2"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            accepts(&text);
        }

        #[test]
        fn json_like_text_is_judged_as_serde_json_judges_it(
            text in "[\\[\\]{},:0-9eE.+\\-\" a]{0,12}",
        ) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(accepts(text.as_bytes()), theirs, "{:?}", text);
        }
    }
}
