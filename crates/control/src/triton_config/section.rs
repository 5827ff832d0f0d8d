//! Reads one message of a configuration's tree, field by field, and remembers everything that is wrong with it
//! instead of stopping at the first.
//!
//! Whoever reads asks for the fields it honours and names those that it knows and does not honour; what is
//! left at the end is a field that nobody knows. Both become warnings with path and place. A value that is a field's
//! default anyway asks for nothing: Triton writes out all of them.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use tidegate_proto::tree::{Field, Message, Value};

/// How the tree was written: JSON has other spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
}

impl Form {
    /// What messages call the document.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "config.pbtxt",
            Self::Json => "model configuration",
        }
    }
}

/// What was found wrong, each a sentence that begins with the place.
#[derive(Debug)]
pub struct Findings {
    form: Form,
    /// The model cannot be served so.
    pub faults: RefCell<Vec<String>>,
    /// It can, but not as asked.
    pub warnings: RefCell<Vec<String>>,
}

impl Findings {
    pub fn new(form: Form) -> Self {
        Self { form, faults: RefCell::default(), warnings: RefCell::default() }
    }

    /// `config.pbtxt line 3`, or without a line where there is none.
    fn place(&self, field: Option<&Field>) -> String {
        let name = self.form.name();
        match field.and_then(|field| field.place) {
            Some(place) => format!("{name} line {}", place.line),
            None => name.to_owned(),
        }
    }
}

/// One message.
pub struct Section<'a> {
    message: &'a Message,
    /// Dotted; empty for the root.
    path: String,
    findings: &'a Findings,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub fn root(message: &'a Message, findings: &'a Findings) -> Self {
        Self::new(message, String::new(), findings)
    }

    fn new(message: &'a Message, path: String, findings: &'a Findings) -> Self {
        Self { message, path, findings, known: RefCell::default() }
    }

    pub fn has(&self, name: &'static str) -> bool {
        !self.fields(name).is_empty()
    }

    pub fn integer<N: TryFrom<i128>>(
        &self,
        name: &'static str,
        range: RangeInclusive<i128>,
    ) -> Option<N> {
        self.integers(name, range).pop()
    }

    /// All of a repeated field that are in range.
    pub fn integers<N: TryFrom<i128>>(
        &self,
        name: &'static str,
        range: RangeInclusive<i128>,
    ) -> Vec<N> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let read = |value: &Value| {
            let number = match value {
                Value::Integer(number) => *number,
                Value::Text(text) if self.is_json() => {
                    std::str::from_utf8(text).ok()?.parse().ok()?
                }
                _ => return None,
            };
            range.contains(&number).then_some(number)?.try_into().ok()
        };
        self.read(name, &expected, read)
    }

    pub fn boolean(&self, name: &'static str) -> Option<bool> {
        self.read(name, "true or false", boolean).pop()
    }

    pub fn text(&self, name: &'static str) -> Option<String> {
        self.read(name, "a string in UTF-8", |value| match value {
            Value::Text(text) => String::from_utf8(text.clone()).ok(),
            _ => None,
        })
        .pop()
    }

    /// The number of an enum's value, by one of its names or as it is.
    pub fn one_of(&self, name: &'static str, names: &[&'static str]) -> Option<usize> {
        let expected = format!("one of {}", names.join(", "));
        let read = |value: &Value| {
            let text = match value {
                Value::Word(word) => word,
                Value::Text(text) if self.is_json() => std::str::from_utf8(text).ok()?,
                Value::Integer(number) => {
                    return usize::try_from(*number).ok().filter(|number| *number < names.len());
                }
                _ => return None,
            };
            names.iter().position(|name| *name == text)
        };
        self.read(name, &expected, read).pop()
    }

    pub fn section(&self, name: &'static str) -> Option<Self> {
        self.sections(name).pop()
    }

    pub fn sections(&self, name: &'static str) -> Vec<Self> {
        let mut sections = Vec::new();
        for field in self.fields(name) {
            match &field.value {
                Value::Message(message) => {
                    sections.push(Self::new(message, self.dotted(name), self.findings));
                }
                other => self.fault_at(name, field, &format!("expected a message, got {other}")),
            }
        }
        sections
    }

    /// The entries of a map whose values are messages: in text each is a message with `key` and `value`, in JSON all
    /// together are one.
    pub fn entries(&self, name: &'static str) -> Vec<(String, Self)> {
        let mut entries = Vec::new();
        for entry in self.sections(name) {
            if self.is_json() {
                for field in &entry.message.fields {
                    let Value::Message(value) = &field.value else {
                        let got = format!("expected a message, got {}", field.value);
                        self.fault_at(name, field, &got);
                        continue;
                    };
                    let path = self.dotted(&format!("{name}['{}']", field.name));
                    entries.push((field.name.clone(), Self::new(value, path, self.findings)));
                }
            } else if let (Some(key), Some(mut value)) = (entry.key(), entry.section("value")) {
                value.path = self.dotted(&format!("{name}['{key}']"));
                entries.push((key, value));
            } else {
                entry.fault("key", "expected a key and a value");
            }
        }
        entries
    }

    /// A map's key, a string or a number.
    fn key(&self) -> Option<String> {
        self.fields("key").pop().map(|field| match &field.value {
            Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => other.to_string(),
        })
    }

    /// Fields of the schema that ask for what is not offered here.
    pub fn not_honoured(&self, names: &[&'static str]) {
        for name in names {
            if let Some(field) = self.fields(name).into_iter().find(|field| asks(&field.value)) {
                let dotted = self.dotted(name);
                self.warn_at(field, &format!("field '{dotted}' is not honoured"));
            }
        }
    }

    /// Ends the reading: what was not asked for is not of the schema.
    pub fn end(&self) {
        let known = self.known.borrow();
        let mut named: Vec<&str> = Vec::new();
        for field in &self.message.fields {
            let is_known = known.iter().any(|name| self.is_called(field, name));
            if !is_known && !named.contains(&field.name.as_str()) {
                named.push(&field.name);
                let dotted = self.dotted(&field.name);
                self.warn_at(field, &format!("field '{dotted}' is not known and not honoured"));
            }
        }
    }

    /// The model cannot be served with what this field says.
    pub fn fault(&self, name: &'static str, message: &str) {
        let field = self.fields(name).pop().or_else(|| self.message.fields.first());
        let place = self.findings.place(field);
        let dotted = self.dotted(name);
        self.findings.faults.borrow_mut().push(format!("{place}: field '{dotted}': {message}"));
    }

    /// What this field asks for is not what it gets.
    pub fn warn(&self, name: &'static str, message: &str) {
        let field = self.fields(name).pop();
        let place = self.findings.place(field);
        let dotted = self.dotted(name);
        self.findings.warnings.borrow_mut().push(format!("{place}: field '{dotted}' {message}"));
    }

    /// Where this message begins: for what is held against the model later.
    pub fn place(&self) -> String {
        self.findings.place(self.message.fields.first())
    }

    fn warn_at(&self, field: &Field, message: &str) {
        let place = self.findings.place(Some(field));
        self.findings.warnings.borrow_mut().push(format!("{place}: {message}"));
    }

    fn fault_at(&self, name: &str, field: &Field, message: &str) {
        let (place, dotted) = (self.findings.place(Some(field)), self.dotted(name));
        self.findings.faults.borrow_mut().push(format!("{place}: field '{dotted}': {message}"));
    }

    /// The field's values that can be read; the others are faults.
    fn read<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for field in self.fields(name) {
            match read(&field.value) {
                Some(value) => found.push(value),
                None => {
                    let message = format!("expected {expected}, got {}", field.value);
                    self.fault_at(name, field, &message);
                }
            }
        }
        found
    }

    /// Makes the field known. Of one that is not repeated the last holds, as protobuf has it.
    fn fields(&self, name: &'static str) -> Vec<&'a Field> {
        if !self.known.borrow().contains(&name) {
            self.known.borrow_mut().push(name);
        }
        self.message.fields.iter().filter(|field| self.is_called(field, name)).collect()
    }

    fn is_called(&self, field: &Field, name: &str) -> bool {
        field.name == name || self.is_json() && is_camel_case_of(&field.name, name)
    }

    fn is_json(&self) -> bool {
        self.findings.form == Form::Json
    }

    fn dotted(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Word(word) if matches!(word.as_str(), "true" | "True" | "t") => Some(true),
        Value::Word(word) if matches!(word.as_str(), "false" | "False" | "f") => Some(false),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        _ => None,
    }
}

/// Whether a value is anything else than its type's default.
fn asks(value: &Value) -> bool {
    const FIRST_OF_ENUMS: [&str; 4] = ["PRIORITY_DEFAULT", "FORMAT_NONE", "KIND_AUTO", "REJECT"];
    match value {
        Value::Integer(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Text(text) => {
            !text.is_empty() && !FIRST_OF_ENUMS.iter().any(|name| name.as_bytes() == text)
        }
        Value::Word(word) => {
            boolean(value) != Some(false) && !FIRST_OF_ENUMS.contains(&word.as_str())
        }
        Value::Message(message) => message.fields.iter().any(|field| asks(&field.value)),
    }
}

/// `maxBatchSize` of `max_batch_size`.
fn is_camel_case_of(camel: &str, snake: &str) -> bool {
    let mut upper = false;
    let mut expected = snake.chars().filter_map(|next| {
        let is_cut = next == '_';
        let shown = if upper { next.to_ascii_uppercase() } else { next };
        upper = is_cut;
        (!is_cut).then_some(shown)
    });
    camel.chars().all(|next| expected.next() == Some(next)) && expected.next().is_none()
}
