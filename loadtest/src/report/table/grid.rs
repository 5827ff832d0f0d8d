//! Columns that line up: the first to the left, all others to the right, two spaces between.

pub struct Grid {
    indent: usize,
    rows: Vec<Vec<String>>,
    left: &'static [usize],
}

impl Grid {
    /// The columns named in `left` are aligned to the left, the first always is.
    pub fn new(indent: usize, left: &'static [usize]) -> Self {
        Self { indent, rows: Vec::new(), left }
    }

    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = " ".repeat(self.indent);
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            let separator = if column == 0 { "" } else { "  " };
            line.push_str(separator);
            if column == 0 || self.left.contains(&column) {
                line.push_str(cell);
                line.push_str(&gap);
            } else {
                line.push_str(&gap);
                line.push_str(cell);
            }
        }
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        let mut grid = Grid::new(1, &[2]);
        grid.row(["name", "p50", "why"]);
        grid.row(["x", "10.25", "ok"]);
        assert_eq!(grid.lines(), [" name    p50  why", " x     10.25  ok"]);
    }
}
