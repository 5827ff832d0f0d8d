//! Text format cut into tokens, each with its place. White space and comments are nothing but cuts.

use super::number::{self, Number};
use super::{Place, TreeError, quoted, shown};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or an enum's value.
    Word(String),
    Number(Number),
    /// One quoted string, unescaped.
    Text(Vec<u8>),
    /// One of `{ } < > [ ] : , ; - / .`
    Sign(char),
    End,
}

impl Token {
    /// For the second half of "expected ..., got ...".
    pub(super) fn got(&self) -> String {
        match self {
            Self::Word(word) => format!("'{}'", shown(word)),
            Self::Number(Number::Integer(number)) => format!("{number}"),
            Self::Number(Number::Float(number)) => format!("{number}"),
            Self::Text(text) => format!("\"{}\"", shown(&String::from_utf8_lossy(text))),
            Self::Sign(sign) => format!("'{sign}'"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Reads forward and knows where it is.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text, place: Place { line: 1, column: 1 } }
    }

    /// The next token and where it begins.
    pub(super) fn next(&mut self) -> Result<(Place, Token), TreeError> {
        self.skip_space();
        let place = self.place;
        let Some(first) = self.rest.chars().next() else { return Ok((place, Token::End)) };
        let token = match first {
            '"' | '\'' => Token::Text(self.quoted(first)?),
            'a'..='z' | 'A'..='Z' | '_' => Token::Word(self.take_while(is_of_word).to_owned()),
            '0'..='9' => Token::Number(self.number(place)?),
            '.' if self.rest[1..].starts_with(|next: char| next.is_ascii_digit()) => {
                Token::Number(self.number(place)?)
            }
            '{' | '}' | '<' | '>' | '[' | ']' | ':' | ',' | ';' | '-' | '/' | '.' => {
                self.advance(1);
                Token::Sign(first)
            }
            other => {
                let message =
                    format!("expected a field or a value, got '{}'", shown(&other.to_string()));
                return Err(TreeError { place: Some(place), message });
            }
        };
        Ok((place, token))
    }

    fn skip_space(&mut self) {
        loop {
            self.take_while(|next| matches!(next, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c'));
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_while(|next| next != '\n');
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Vec<u8>, TreeError> {
        let (bytes, length) = quoted::read(self.rest, quote).map_err(|(at, message)| {
            self.advance(at);
            TreeError { place: Some(self.place), message }
        })?;
        self.advance(length);
        Ok(bytes)
    }

    fn number(&mut self, place: Place) -> Result<Number, TreeError> {
        let mut before = ' ';
        let text = self.take_while(|next| {
            let is_part = is_of_word(next)
                || next == '.'
                || (matches!(next, '+' | '-') && matches!(before, 'e' | 'E'));
            before = next;
            is_part
        });
        number::read(text).ok_or_else(|| {
            let message = format!("expected a number, got '{}'", shown(text));
            TreeError { place: Some(place), message }
        })
    }

    fn take_while(&mut self, mut holds: impl FnMut(char) -> bool) -> &'a str {
        let end = self.rest.find(|next| !holds(next)).unwrap_or(self.rest.len());
        let taken = &self.rest[..end];
        self.advance(end);
        taken
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        match passed.rfind('\n') {
            Some(last) => {
                self.place.line += passed.bytes().filter(|byte| *byte == b'\n').count();
                self.place.column = 1 + passed[last + 1..].chars().count();
            }
            None => self.place.column += passed.chars().count(),
        }
        self.rest = rest;
    }
}

fn is_of_word(next: char) -> bool {
    next.is_ascii_alphanumeric() || next == '_'
}
