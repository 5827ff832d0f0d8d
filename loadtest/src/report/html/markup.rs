//! Text into HTML. Whatever comes from outside goes through [`Text`]; nothing else escapes.

use std::fmt;

/// Shown as it is, never taken as markup, in text and in quoted attributes.
pub struct Text<'t>(pub &'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() && c != '\n' => f.write_str("\u{fffd}")?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// A cell of a table; numbers stand to the right, words to the left.
pub enum Cell {
    Number(String),
    Words(String),
    Good(String),
    Bad(String),
}

impl Cell {
    /// Good where it holds.
    pub fn verdict(holds: bool, good: &str, bad: &str) -> Self {
        if holds { Self::Good(good.to_owned()) } else { Self::Bad(bad.to_owned()) }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, text) = match self {
            Self::Number(text) => ("", text),
            Self::Words(text) => (" class=\"words\"", text),
            Self::Good(text) => (" class=\"good\"", text),
            Self::Bad(text) => (" class=\"bad\"", text),
        };
        write!(f, "<td{class}>{}</td>", Text(text))
    }
}

/// Headings that end in a colon stand over words. There may be none.
pub fn table(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    let heading = |name: &&str| match name.strip_suffix(':') {
        Some(name) => format!("<th class=\"words\">{}</th>", Text(name)),
        None => format!("<th>{}</th>", Text(name)),
    };
    let head: String = headings.iter().map(heading).collect();
    let row = |cells: &Vec<Cell>| {
        let cells: String = cells.iter().map(Cell::to_string).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    let head = if head.is_empty() { head } else { format!("<tr>{head}</tr>\n") };
    format!("<div class=\"sheet\"><table>\n{head}{rows}</table></div>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let shown = Text("<b a='1' b=\"2\">&\u{1b}\u{7}").to_string();
        assert_eq!(shown, "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;\u{fffd}\u{fffd}");
    }
}
