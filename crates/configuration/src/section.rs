//! Reads one table of the file, with flags and environment laid over it, and remembers every mistake
//! instead of stopping at the first.
//!
//! Whoever reads asks for the keys it knows; what is left in the table at the end is a key that nobody
//! knows, and is a mistake too. A value that is overridden is still checked: it would bite later.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::problem::Origin;
use crate::source::{Document, Override};
use crate::suggestion::nearest;
use crate::value::{Value, shown, unexpected, unexpected_name};

pub struct Section<'a> {
    document: &'a Document<'a>,
    /// Dotted; empty for the root.
    path: String,
    table: Option<&'a DeTable<'a>>,
    /// Where it stands in the file.
    at: Option<usize>,
    /// The section whose overrides hold for this one too.
    general: Option<&'static str>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(crate) fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        Self { at: Some(0), ..Self::new(document, String::new(), Some(table)) }
    }

    fn new(document: &'a Document<'a>, path: String, table: Option<&'a DeTable<'a>>) -> Self {
        Self { document, path, table, at: None, general: None, known: RefCell::default() }
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
        let at = entry.map(|(at, _)| at);
        Self { at, ..Self::new(self.document, self.dotted(key), table) }
    }

    /// The sections of an array of tables, in the order of the file; empty when there is none.
    pub fn list(&self, key: &'static str) -> Vec<Self> {
        let Some((at, value)) = self.entry(key) else { return Vec::new() };
        let Some(array) = value.as_array() else {
            let message = format!("expected [[{}]], got {}", self.dotted(key), shown(value));
            self.document.report(self.document.origin(Some(at)), self.dotted(key), message);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, value) in array.iter().enumerate() {
            let path = format!("{}[{index}]", self.dotted(key));
            let at = Some(value.span().start);
            match value.get_ref().as_table() {
                Some(table) => {
                    sections.push(Self { at, ..Self::new(self.document, path, Some(table)) });
                }
                None => {
                    let message = format!("expected a table, got {}", shown(value.get_ref()));
                    self.document.report(self.document.origin(at), path, message);
                }
            }
        }
        sections
    }

    /// What flags and environment say about the section `general` holds for this one and those in it too.
    pub fn special_case_of(self, general: &'static str) -> Self {
        Self { general: Some(general), ..self }
    }

    /// The sections of a table whose keys are names, such as `models`.
    pub fn named_sections<N: Value>(&self) -> Vec<(N, Self)> {
        let mut sections = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let dotted = self.dotted(key.get_ref());
            let origin = self.document.origin(Some(key.span().start));
            match (N::from_text(key.get_ref()), value.get_ref().as_table()) {
                (Some(name), Some(table)) => {
                    let at = Some(key.span().start);
                    let inner = Self::new(self.document, dotted, Some(table));
                    sections.push((name, Self { at, general: self.general, ..inner }));
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

    /// A value without which there is no going on: that it is missing is reported.
    pub fn required<V: Value>(&self, key: &'static str) -> Option<V> {
        let read = self.value(key);
        if read.is_none() && !self.is_reported(key) {
            self.missing(key, format!("expected {}, got nothing", V::EXPECTED));
        }
        read
    }

    /// The values of an array; `None` when there is no array.
    pub fn values<V: Value>(&self, key: &'static str) -> Option<Vec<V>> {
        let (at, value) = self.entry(key)?;
        let Some(array) = value.as_array() else {
            let message = format!("expected an array, got {}", shown(value));
            self.document.report(self.document.origin(Some(at)), self.dotted(key), message);
            return None;
        };
        let read = array.iter().filter_map(|value| {
            let read = V::from_toml(value.get_ref());
            if read.is_none() {
                let origin = self.document.origin(Some(value.span().start));
                self.document.report(origin, self.dotted(key), unexpected::<V>(value.get_ref()));
            }
            read
        });
        Some(read.collect())
    }

    /// The value as it stands in the file, for what has no fixed form.
    pub fn raw(&self, key: &'static str) -> Option<&'a DeValue<'a>> {
        self.entry(key).map(|(_, value)| value)
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
        let over = self.overriding(key).or_else(|| self.overriding_general(key));
        let origin = match (over, self.entry(key)) {
            (Some(from), _) => from.origin.clone(),
            (None, Some((at, _))) => self.document.origin(Some(at)),
            (None, None) => Origin::Unset,
        };
        self.document.report(origin, self.dotted(key), message);
    }

    /// Reports what is not there, at the place of the section that lacks it.
    pub fn missing(&self, key: &'static str, message: impl Into<String>) {
        let origin = self.at.map_or(Origin::Unset, |at| self.document.origin(Some(at)));
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

    fn overriding_general(&self, key: &str) -> Option<&'a Override> {
        let dotted = format!("{}.{key}", self.general?);
        self.document.overrides.iter().find(|from| from.key == dotted)
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
