//! Why JSON text was not taken: it is not JSON, it is too deep, or it says something that the
//! format does not allow. Each format puts its own words in front of the first.
//!
//! It travels in a box: a result is then one word, and reading a number stays in registers.

use thiserror::Error;

use crate::DecodeError;

#[derive(Debug, Error)]
pub(crate) enum JsonError {
    #[error("{problem} at offset {offset}")]
    Syntax { problem: &'static str, offset: usize },
    #[error("JSON nesting depth exceeds maximum allowed limit ({limit})")]
    TooDeep { limit: usize },
    /// Well-formed, and still not what is asked for.
    #[error("{0}")]
    Refused(DecodeError),
}

impl JsonError {
    #[cold]
    pub(crate) fn refused(message: impl Into<String>) -> Box<Self> {
        DecodeError::invalid(message).into()
    }

    /// With `place` in front of a syntax error: `place: Invalid value. at offset 5`.
    pub(crate) fn within(self, place: &str) -> DecodeError {
        match self {
            Self::Refused(error) => error,
            Self::TooDeep { .. } => DecodeError::invalid(self.to_string()),
            Self::Syntax { .. } => DecodeError::invalid(format!("{place}: {self}")),
        }
    }
}

impl From<DecodeError> for Box<JsonError> {
    fn from(error: DecodeError) -> Self {
        Self::new(JsonError::Refused(error))
    }
}

impl From<tidegate_inference::Error> for Box<JsonError> {
    fn from(error: tidegate_inference::Error) -> Self {
        DecodeError::from(error).into()
    }
}
