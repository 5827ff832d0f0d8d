//! Columns that people can read.

use std::fmt::Write;

/// Left-aligned columns, two spaces apart, without spaces at the ends of lines.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "{cell:<width$}  ").expect("a string takes all");
        }
        writeln!(text, "{}", line.trim_end()).expect("a string takes all");
    }
    text
}

/// `151.0 KiB`.
pub fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(4);
    let value = bytes as f64 / f64::from(1024_u32).powi(power as i32);
    format!("{value:.1} {}", units[power as usize - 1])
}

/// `1 version`, `2 versions`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bb", ""], ["aaa", "b", "c"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "a    bb\naaa  b   c\n");
    }

    #[test]
    fn sizes_have_a_unit() {
        let said = [0, 1023, 1024, 154_624, 5 << 30, u64::MAX].map(size);
        assert_eq!(said, ["0 B", "1023 B", "1.0 KiB", "151.0 KiB", "5.0 GiB", "16777216.0 TiB"]);
    }
}
