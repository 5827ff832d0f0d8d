//! Reads protobuf's text format, by its published grammar.
//!
//! Extensions (`[package.name]`) and `Any` (`[type.googleapis.com/name]`) are refused by name: no message
//! that is read here has them, and without a schema they could not be understood.

use super::number::Number;
use super::token::{Token, Tokens};
use super::{Field, FieldCount, Limits, Message, Place, TreeError, Value, check_size, too_deep};

/// # Errors
/// When it is no message in text format, or larger than the limits: where, what was expected, what came.
pub fn read_text(text: &[u8]) -> Result<Message, TreeError> {
    check_size(text.len()).map_err(|message| TreeError { place: None, message })?;
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = 1 + text[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        let message = format!("expected UTF-8, got other bytes in line {line}");
        TreeError { place: None, message }
    })?;
    let mut parser = Parser::of(text)?;
    let message = parser.fields(&Token::End, 0)?;
    Ok(message)
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    /// The token that was read last and not used yet.
    place: Place,
    token: Token,
    count: FieldCount,
}

impl<'a> Parser<'a> {
    fn of(text: &'a str) -> Result<Self, TreeError> {
        let mut tokens = Tokens::of(text);
        let (place, token) = tokens.next()?;
        Ok(Self { tokens, place, token, count: FieldCount::default() })
    }

    /// Uses the token up.
    fn take(&mut self) -> Result<(Place, Token), TreeError> {
        let (place, token) = self.tokens.next()?;
        let taken = std::mem::replace(&mut self.token, token);
        Ok((std::mem::replace(&mut self.place, place), taken))
    }

    fn take_if(&mut self, sign: char) -> Result<bool, TreeError> {
        let is_there = self.token == Token::Sign(sign);
        if is_there {
            self.take()?;
        }
        Ok(is_there)
    }

    fn expected<T>(&self, what: &str) -> Result<T, TreeError> {
        let message = format!("expected {what}, got {}", self.token.got());
        Err(TreeError { place: Some(self.place), message })
    }

    /// Fields until `end`, which is used up.
    fn fields(&mut self, end: &Token, depth: usize) -> Result<Message, TreeError> {
        let mut message = Message::default();
        while self.token != *end {
            self.field(end, depth, &mut message)?;
            if matches!(self.token, Token::Sign(',' | ';')) {
                self.take()?;
            }
        }
        if *end != Token::End {
            self.take()?;
        }
        Ok(message)
    }

    fn field(&mut self, end: &Token, depth: usize, to: &mut Message) -> Result<(), TreeError> {
        let place = self.place;
        if self.token == Token::Sign('[') {
            return self.bracketed_name();
        }
        let Token::Word(name) = &self.token else {
            let or_end = match end {
                Token::Sign(sign) => format!("a field or '{sign}'"),
                _ => "a field".to_owned(),
            };
            return self.expected(&or_end);
        };
        let name = name.clone();
        self.take()?;
        let has_colon = self.take_if(':')?;
        if self.token == Token::Sign('[') {
            return self.list(&name, has_colon, depth, to);
        }
        let value = self.value(has_colon, depth)?;
        self.put(to, &name, place, value)
    }

    fn put(
        &mut self,
        to: &mut Message,
        name: &str,
        place: Place,
        value: Value,
    ) -> Result<(), TreeError> {
        self.count.one_more().map_err(|message| TreeError { place: Some(place), message })?;
        to.fields.push(Field { name: name.to_owned(), place: Some(place), value });
        Ok(())
    }

    fn list(
        &mut self,
        name: &str,
        has_colon: bool,
        depth: usize,
        to: &mut Message,
    ) -> Result<(), TreeError> {
        self.take()?;
        if self.take_if(']')? {
            return Ok(());
        }
        loop {
            let place = self.place;
            let value = self.value(has_colon, depth)?;
            self.put(to, name, place, value)?;
            if self.take_if(']')? {
                return Ok(());
            }
            if !self.take_if(',')? {
                return self.expected("',' or ']'");
            }
        }
    }

    /// Only a message may come without a colon before it.
    fn value(&mut self, has_colon: bool, depth: usize) -> Result<Value, TreeError> {
        for (open, close) in [('{', '}'), ('<', '>')] {
            if self.token == Token::Sign(open) {
                return self.message(close, depth);
            }
        }
        if !has_colon {
            return self.expected("':' or a message in braces");
        }
        match &self.token {
            Token::Text(_) => self.strings(),
            Token::Sign('-') => {
                self.take()?;
                self.negative()
            }
            Token::Number(Number::Integer(number)) => {
                let value = Value::Integer(i128::from(*number));
                self.take().map(|_| value)
            }
            Token::Number(Number::Float(number)) => {
                let value = Value::Float(*number);
                self.take().map(|_| value)
            }
            Token::Word(word) => {
                let value =
                    float_name(word).map_or_else(|| Value::Word(word.clone()), Value::Float);
                self.take().map(|_| value)
            }
            Token::Sign(_) | Token::End => self.expected("a value"),
        }
    }

    fn message(&mut self, close: char, depth: usize) -> Result<Value, TreeError> {
        if depth + 1 > Limits::DEPTH {
            return Err(TreeError { place: Some(self.place), message: too_deep() });
        }
        self.take()?;
        self.fields(&Token::Sign(close), depth + 1).map(Value::Message)
    }

    /// Strings beside one another are one.
    fn strings(&mut self) -> Result<Value, TreeError> {
        let mut joined = Vec::new();
        while let Token::Text(text) = &self.token {
            joined.extend_from_slice(text);
            self.take()?;
        }
        Ok(Value::Text(joined))
    }

    fn negative(&mut self) -> Result<Value, TreeError> {
        let value = match &self.token {
            Token::Number(Number::Integer(number)) => {
                let number = -i128::from(*number);
                if number < i128::from(i64::MIN) {
                    return self.expected("at most 9223372036854775808 after '-'");
                }
                Value::Integer(number)
            }
            Token::Number(Number::Float(number)) => Value::Float(-number),
            Token::Word(word) if float_name(word).is_some() => {
                Value::Float(-float_name(word).unwrap_or_default())
            }
            _ => return self.expected("a number after '-'"),
        };
        self.take()?;
        Ok(value)
    }

    /// What stands in brackets where a field should.
    fn bracketed_name(&mut self) -> Result<(), TreeError> {
        let place = self.place;
        let (mut name, mut is_any) = (String::new(), false);
        self.take()?;
        loop {
            match &self.token {
                Token::Word(word) if name.len() < 200 => name.push_str(word),
                Token::Sign(sign @ ('.' | '/')) => {
                    is_any |= *sign == '/';
                    name.push(*sign);
                }
                _ => break,
            }
            self.take()?;
        }
        let what = if is_any { "an Any" } else { "an extension" };
        let message = format!("expected a field, got [{name}]: {what} is not understood here");
        Err(TreeError { place: Some(place), message })
    }
}

/// Floats that are written in letters, in any case.
fn float_name(word: &str) -> Option<f64> {
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("inf") || is("infinity") { Some(f64::INFINITY) } else { is("nan").then_some(f64::NAN) }
}
