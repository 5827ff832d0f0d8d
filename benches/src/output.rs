//! Where figures go: a Markdown table that a person can read as it is, to stdout or into a file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Result;

#[derive(Debug, clap::Args)]
pub struct Output {
    /// Write the Markdown to FILE instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Output {
    pub fn write(&self, markdown: &str) -> Result<()> {
        match self.output.as_deref() {
            Some(path) => std::fs::write(path, markdown).map_err(|error| failed(path, &error))?,
            None => std::io::stdout().write_all(markdown.as_bytes())?,
        }
        Ok(())
    }
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// A line on stderr: a run takes minutes, and whoever waits wants to see it move.
pub fn progress(line: &str) {
    eprintln!("{line}");
}

/// A table whose first columns are words and whose others are numbers.
pub struct Table {
    markdown: String,
}

impl Table {
    pub fn new(words: &[&str], numbers: &[&str]) -> Self {
        let mut table = Self { markdown: String::new() };
        table.row(words.iter().chain(numbers).copied());
        let rules = words.iter().map(|_| "---").chain(numbers.iter().map(|_| "---:"));
        table.row(rules);
        table
    }

    pub fn row<T: std::fmt::Display>(&mut self, cells: impl IntoIterator<Item = T>) {
        for cell in cells {
            // Writing to a string cannot fail.
            let _ = write!(self.markdown, "| {cell} ");
        }
        self.markdown.push_str("|\n");
    }

    pub fn into_markdown(self) -> String {
        self.markdown
    }
}

/// Three significant digits, with separators between thousands: `0.123`, `12.3`, `12,300`.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let places = usize::try_from(2 - magnitude).unwrap_or(0);
    if places > 0 {
        return format!("{value:.places$}");
    }
    let unit = 10_f64.powi(magnitude - 2);
    grouped(((value / unit).round() * unit).round() as i64)
}

/// A whole number with separators between thousands.
pub fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_significant_digits() {
        let shown = [0.012_34, 1.0, 12.34, 123.4, 1_234.0, 56_789.0, 0.0, f64::NAN].map(figure);
        assert_eq!(shown, ["0.0123", "1.00", "12.3", "123", "1,230", "56,800", "0", "-"]);
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["model"], &["requests/s"]);
        table.row(["digits", "1"]);
        let lines = "| model | requests/s |\n| --- | ---: |\n| digits | 1 |\n";
        assert_eq!(table.into_markdown(), lines);
    }
}
