//! Protobuf messages as people write them, in text format or in JSON, read into one tree without a schema.
//!
//! What a field means, and whether it is one, is for whoever knows the message to say; here it has a name,
//! a value and, in text, a place to point at. A list is its field several times, as on protobuf's own wire,
//! so `dims: [1, 2]` and `dims: 1 dims: 2` are the same tree.
//!
//! Both readers have limits on size, depth and number of fields, and return an error for anything else
//! than a message: what comes here was typed by somebody.

mod error;
mod json;
mod number;
#[cfg(test)]
mod print;
mod quoted;
#[cfg(test)]
mod tests;
mod text;
mod token;

use std::fmt;

pub use error::TreeError;
pub use json::read_json;
pub use text::read_text;

/// The most that a document may have.
pub struct Limits;

impl Limits {
    pub const BYTES: usize = 1 << 20;
    /// Messages inside one another. Reading is recursive.
    pub const DEPTH: usize = 64;
    /// Elements of lists count, each.
    pub const FIELDS: usize = 100_000;
}

/// Fields in the order in which they were written, a repeated one several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    /// Known of text, not of JSON.
    pub place: Option<Place>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Within what 64 bits hold, signed or not.
    Integer(i128),
    Float(f64),
    /// A quoted string: not necessarily UTF-8 in text format.
    Text(Vec<u8>),
    /// A name of an enum's, or `true` or `false`.
    Word(String),
    Message(Message),
}

/// Where a field begins; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// As it would be written, shortened: for messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Text(text) => write!(f, "\"{}\"", shown(&String::from_utf8_lossy(text))),
            Self::Word(word) => f.write_str(&shown(word)),
            Self::Message(_) => f.write_str("a message"),
        }
    }
}

/// What came, short enough for a message and without line breaks.
fn shown(text: &str) -> String {
    text.chars().take(32).flat_map(char::escape_debug).collect()
}

/// Counts fields against their limit.
#[derive(Default)]
struct FieldCount(usize);

impl FieldCount {
    fn one_more(&mut self) -> Result<(), String> {
        self.0 += 1;
        if self.0 > Limits::FIELDS {
            return Err(format!("expected at most {} fields, got more", Limits::FIELDS));
        }
        Ok(())
    }
}

fn check_size(bytes: usize) -> Result<(), String> {
    if bytes > Limits::BYTES {
        return Err(format!("expected at most {} bytes, got {bytes}", Limits::BYTES));
    }
    Ok(())
}

fn too_deep() -> String {
    format!("expected at most {} messages inside one another, got more", Limits::DEPTH)
}
