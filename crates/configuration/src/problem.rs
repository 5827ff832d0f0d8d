//! A mistake in a file: where it is, which key, what is wrong. Collected, so that an operator
//! sees all of them at once.

use std::fmt;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Flag(String),
    Variable(String),
    File {
        name: String,
        line: Option<usize>,
    },
    /// Nowhere: it is missing.
    Unset,
    /// Another thing than the file does not fit what the file says of it.
    Beside(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub origin: Origin,
    /// Dotted path, such as `models.digits.batch_size`; empty for the file as a whole.
    pub key: String,
    pub message: String,
}

/// At least one mistake; each on a line of its own, in the order of flags, environment and file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    subject: &'static str,
    all: Vec<Problem>,
}

impl Problems {
    /// Mistakes in `subject`, such as `the configuration`; `None` when there is nothing to complain about.
    pub fn new(subject: &'static str, mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort();
        problems.dedup();
        (!problems.is_empty()).then_some(Self { subject, all: problems })
    }

    pub fn as_slice(&self) -> &[Problem] {
        &self.all
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::File { name, line: Some(line) } => write!(f, "{name}:{line}"),
            Self::File { name, line: None } => f.write_str(name),
            Self::Unset => f.write_str("not set"),
            Self::Beside(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.all.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} {noun} in {}:", self.all.len(), self.subject)?;
        self.all.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
