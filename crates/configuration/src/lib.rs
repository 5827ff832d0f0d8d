//! Reads TOML files in the house's manner: values carry units, keys that nobody asks for are mistakes, and all
//! mistakes are reported together, each with its line, its key, what was expected and what came.
//!
//! What the keys are is the caller's affair: it asks a [`Section`] for them. This crate knows neither models nor
//! loads, and does no more I/O than reading the one file. The surprising thing: reading goes on after a mistake, with
//! `None` in its place, so whoever reads puts in a default, and nobody sees the result unless all was well.

pub mod plain;
mod problem;
mod section;
mod source;
mod suggestion;
mod value;

pub use problem::{Origin, Problem, Problems};
pub use section::Section;
pub use source::{Override, Source};
pub use value::{Count, Size, Value, parse, parse_duration, parse_size};
