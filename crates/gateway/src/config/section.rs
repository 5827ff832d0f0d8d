//! Reads one table of the file, with flags and environment laid over it, and remembers every mistake
//! instead of stopping at the first.
//!
//! Whoever reads asks for the keys it knows; what is left in the table at the end is a key that nobody
//! knows, and is a mistake too. A value that is overridden is still checked: it would bite later.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::overrides::Override;
use super::problem::{Origin, Problem};
use super::suggestion::nearest;
use super::value::Value;

/// The file and what lies over it.
pub struct Document<'a> {
    pub file: Option<&'a Path>,
    pub text: &'a str,
    pub overrides: &'a [Override],
    pub problems: RefCell<Vec<Problem>>,
}

pub struct Section<'a> {
    document: &'a Document<'a>,
    /// Dotted; empty for the root.
    path: String,
    table: Option<&'a DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
}

impl Document<'_> {
    pub fn report(&self, origin: Origin, key: impl Into<String>, message: impl Into<String>) {
        let problem = Problem { origin, key: key.into(), message: message.into() };
        self.problems.borrow_mut().push(problem);
    }

    pub fn origin(&self, offset: Option<usize>) -> Origin {
        let line = offset.map(|at| self.text.bytes().take(at).filter(|b| *b == b'\n').count() + 1);
        match self.file {
            Some(file) => Origin::File { name: file.display().to_string(), line },
            None => Origin::Unset,
        }
    }
}

impl<'a> Section<'a> {
    pub fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(document, String::new(), Some(table))
    }

    fn new(document: &'a Document<'a>, path: String, table: Option<&'a DeTable<'a>>) -> Self {
        Self { document, path, table, known: RefCell::default() }
    }

    /// What flags and environment say about this section, without the file.
    pub fn only_overrides(&self) -> Self {
        Self::new(self.document, self.path.clone(), None)
    }

    /// The section under `key`, empty when the file has none.
    pub fn section(&self, key: &'static str) -> Self {
        let entry = self.entry(key);
        let table = entry.and_then(|(_, value)| value.as_table());
        if let (Some((at, value)), None) = (entry, table) {
            let message = format!("expected a table, got {}", shown(value));
            self.document.report(self.document.origin(Some(at)), self.dotted(key), message);
        }
        Self::new(self.document, self.dotted(key), table)
    }

    /// The sections of a table whose keys are names, such as `models`.
    pub fn named_sections<N: Value>(&self) -> Vec<(N, Self)> {
        let mut sections = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let dotted = self.dotted(key.get_ref());
            let origin = self.document.origin(Some(key.span().start));
            match (N::from_text(key.get_ref()), value.get_ref().as_table()) {
                (Some(name), Some(table)) => {
                    sections.push((name, Self::new(self.document, dotted, Some(table))));
                }
                (None, _) => {
                    self.document.report(origin, dotted, unexpected_name::<N>(key.get_ref()));
                }
                (_, None) => {
                    let message = format!("expected a table, got {}", shown(value.get_ref()));
                    self.document.report(origin, dotted, message);
                }
            }
        }
        sections
    }

    /// The pairs of a table whose keys are names, such as `weights`; `None` when there is no table.
    pub fn pairs<N: Value, V: Value>(&self, key: &'static str) -> Option<Vec<(N, V)>> {
        self.entry(key)?;
        let inner = self.section(key);
        let mut pairs = Vec::new();
        for (name, value) in inner.table? {
            let dotted = inner.dotted(name.get_ref());
            let origin = self.document.origin(Some(name.span().start));
            match (N::from_text(name.get_ref()), V::from_toml(value.get_ref())) {
                (Some(name), Some(value)) => pairs.push((name, value)),
                (None, _) => {
                    self.document.report(origin, dotted, unexpected_name::<N>(name.get_ref()));
                }
                (_, None) => self.document.report(origin, dotted, unexpected::<V>(value.get_ref())),
            }
        }
        Some(pairs)
    }

    pub fn value<V: Value>(&self, key: &'static str) -> Option<V> {
        let in_file = self.in_file(key);
        match self.overriding(key) {
            Some(from) => self.overridden(key, from),
            None => in_file,
        }
    }

    /// A path: relative to the file where the file says it, else to the working folder.
    pub fn path(&self, key: &'static str) -> Option<PathBuf> {
        let in_file: Option<PathBuf> = self.in_file(key);
        if let Some(from) = self.overriding(key) {
            return self.overridden(key, from);
        }
        in_file.map(|path| self.folder().join(path))
    }

    /// Reports a mistake that shows only when values are held against each other.
    pub fn mistake(&self, key: &'static str, message: impl Into<String>) {
        let over = self.overriding(key).or_else(|| self.overriding_all_models(key));
        let origin = match (over, self.entry(key)) {
            (Some(from), _) => from.origin.clone(),
            (None, Some((at, _))) => self.document.origin(Some(at)),
            (None, None) => Origin::Unset,
        };
        self.document.report(origin, self.dotted(key), message);
    }

    /// A path in the file's folder, or in the working folder when there is no file.
    pub fn beside_file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn folder(&self) -> &'a Path {
        self.document.file.and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// Whether a mistake in this key was found already.
    pub fn is_reported(&self, key: &str) -> bool {
        let dotted = self.dotted(key);
        self.document.problems.borrow().iter().any(|problem| problem.key == dotted)
    }

    /// Ends the reading: whatever was not asked for is a mistake.
    pub fn unknown_keys(&self) {
        let known = self.known.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            if known.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let hint = match nearest(key.get_ref(), &known) {
                Some(near) => format!("no such key; did you mean '{near}'?"),
                None => format!("no such key; known here: {}", known.join(", ")),
            };
            let origin = self.document.origin(Some(key.span().start));
            self.document.report(origin, self.dotted(key.get_ref()), hint);
        }
    }

    /// Where the key stands in the file, and its value. Makes the key known.
    fn entry(&self, key: &'static str) -> Option<(usize, &'a DeValue<'a>)> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
        let (name, value) = self.table?.get_key_value(key)?;
        Some((name.span().start, value.get_ref()))
    }

    fn in_file<V: Value>(&self, key: &'static str) -> Option<V> {
        let (at, value) = self.entry(key)?;
        let read = V::from_toml(value);
        if read.is_none() {
            let origin = self.document.origin(Some(at));
            self.document.report(origin, self.dotted(key), unexpected::<V>(value));
        }
        read
    }

    fn overriding(&self, key: &str) -> Option<&'a Override> {
        let dotted = self.dotted(key);
        self.document.overrides.iter().find(|from| from.key == dotted)
    }

    /// What is set for every model over the file beats what the file says of one.
    fn overriding_all_models(&self, key: &str) -> Option<&'a Override> {
        let for_all = format!("defaults.{key}");
        let of_a_model = self.path.starts_with("models.");
        self.document.overrides.iter().find(|from| of_a_model && from.key == for_all)
    }

    fn overridden<V: Value>(&self, key: &str, from: &Override) -> Option<V> {
        let read = V::from_text(&from.text);
        if read.is_none() {
            let message = format!("expected {}, got {:?}", V::EXPECTED, from.text);
            self.document.report(from.origin.clone(), self.dotted(key), message);
        }
        read
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn unexpected<V: Value>(value: &DeValue<'_>) -> String {
    format!("expected {}, got {}", V::EXPECTED, shown(value))
}

fn unexpected_name<N: Value>(name: &str) -> String {
    format!("expected {}, got {name:?}", N::EXPECTED)
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
