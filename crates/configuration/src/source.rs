//! Where a configuration comes from: a file, and what lies over it.

use std::cell::RefCell;
use std::path::Path;

use toml::de::DeTable;

use crate::problem::{Origin, Problem, Problems};
use crate::section::Section;

/// A file and what flags and environment lay over it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What the mistakes are in: `the configuration`.
    pub subject: &'static str,
    pub file: Option<&'a Path>,
    pub overrides: &'a [Override],
}

/// A value from outside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Dotted.
    pub key: &'static str,
    pub text: String,
    pub origin: Origin,
}

/// What is shared by all sections while one source is read.
pub(crate) struct Document<'a> {
    pub file: Option<&'a Path>,
    pub text: &'a str,
    pub overrides: &'a [Override],
    pub problems: RefCell<Vec<Problem>>,
}

impl Source<'_> {
    /// Reads the file, if one is named, and hands its root to `compose`, which asks for every key it knows and puts a
    /// default where a value is missing or wrong.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn read<T>(&self, compose: impl FnOnce(&Section<'_>) -> T) -> Result<T, Problems> {
        let read = self.file.map_or(Ok(String::new()), std::fs::read_to_string);
        let read = read.as_deref().map_err(|error| format!("cannot be read: {error}"));
        self.understand(read, compose)
    }

    /// The same of a text that was read from the file already.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn read_text<T>(
        &self,
        text: &str,
        compose: impl FnOnce(&Section<'_>) -> T,
    ) -> Result<T, Problems> {
        self.understand(Ok(text), compose)
    }

    fn understand<T>(
        &self,
        read: Result<&str, String>,
        compose: impl FnOnce(&Section<'_>) -> T,
    ) -> Result<T, Problems> {
        let text = *read.as_ref().unwrap_or(&"");
        let problems = RefCell::default();
        let document = Document { file: self.file, text, overrides: self.overrides, problems };
        if let Err(error) = &read {
            document.report(document.origin(None), "", error);
        }
        let (table, faults) = DeTable::parse_recoverable(text);
        for fault in &faults {
            let origin = document.origin(fault.span().map(|span| span.start));
            document.report(origin, "", format!("not TOML: {}", fault.message()));
        }
        let root = Section::root(&document, table.get_ref());
        let composed = compose(&root);
        root.unknown_keys();
        let mut problems = document.problems.into_inner();
        if read.is_err() || !faults.is_empty() {
            // What is missing or odd in a file that was not understood is mostly an echo of that.
            problems.retain(|problem| problem.key.is_empty());
        }
        Problems::new(self.subject, problems).map_or(Ok(composed), Err)
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::value::Count;

    fn read<T>(text: &str, compose: impl FnOnce(&Section<'_>) -> T) -> Result<T, String> {
        // Tests of one process may run at once, so each has a file of its own.
        let name = format!("tidegate-configuration-{}-{text:p}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let source = Source { subject: "the test", file: Some(&path), overrides: &[] };
        let read = source.read(compose);
        std::fs::remove_file(&path).unwrap();
        read.map_err(|problems| problems.to_string().replace(&path.display().to_string(), "t.toml"))
    }

    #[test]
    fn an_array_of_tables_is_a_list_of_sections_that_know_their_place() {
        let text = "[[load]]\nrate = 1\n\n[[load]]\nrat = 2\n[[load.inner]]\n";
        let said = read(text, |root| {
            for load in root.list("load") {
                load.required::<f64>("rate");
                assert!(load.list("inner").len() < 2);
                load.unknown_keys();
            }
        });
        let expected = "2 mistakes in the test:\n  \
             t.toml:4: load[1].rate: expected a number from 0, got nothing\n  \
             t.toml:5: load[1].rat: no such key; did you mean 'rate'?";
        assert_eq!(said.unwrap_err(), expected);
    }

    #[test]
    fn what_should_be_an_array_and_is_not_is_told() {
        let said = read("load = 1\nwaits = \"1s\"\n", |root| {
            assert!(root.list("load").is_empty());
            assert_eq!(root.values::<Duration>("waits"), None);
        });
        let expected = "2 mistakes in the test:\n  \
             t.toml:1: load: expected [[load]], got 1\n  \
             t.toml:2: waits: expected an array, got \"1s\"";
        assert_eq!(said.unwrap_err(), expected);
    }

    #[test]
    fn each_value_of_an_array_is_checked() {
        let values = |text| read(text, |root| root.values::<Count>("counts").map(|all| all.len()));
        assert_eq!(values("counts = [1, 2]"), Ok(Some(2)));
        assert_eq!(values(""), Ok(None));
        let said = values("counts = [\n1,\n0,\n]").unwrap_err();
        assert!(
            said.ends_with("t.toml:3: counts: expected a whole number from 1, got 0"),
            "{said}"
        );
    }
}
