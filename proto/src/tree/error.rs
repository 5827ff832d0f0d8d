//! Why a document is no message, and where it stops being one.

use std::fmt;

use super::Place;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError {
    /// Where, if it is anywhere.
    pub place: Option<Place>,
    /// What was expected, and what came.
    pub message: String,
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for TreeError {}
