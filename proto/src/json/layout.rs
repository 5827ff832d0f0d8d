//! The shape that nested arrays turn out to have, found while descending; ragged ones are refused
//! where they turn ragged.

use tidegate_inference::Shape;

#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Length of the arrays at each depth, known once the first of them has closed.
    lengths: Vec<Option<usize>>,
    /// Values were seen, and they lie below the last of `lengths`.
    has_values: bool,
}

impl Layout {
    /// With the outermost array already open: its items are given one by one.
    pub(crate) fn of_items() -> Self {
        Self { lengths: vec![None], has_values: false }
    }

    /// An array opens inside `depth` others.
    pub(crate) fn open(&mut self, depth: usize) -> Result<(), String> {
        if depth < self.lengths.len() {
            return Ok(());
        }
        if self.has_values {
            return Err(self.mixed(depth));
        }
        self.lengths.push(None);
        Ok(())
    }

    pub(crate) fn close(&mut self, depth: usize, length: usize) -> Result<(), String> {
        match self.lengths[depth].replace(length) {
            Some(first) if first != length => {
                Err(format!("ragged array: Expecting tensor size: {first} but got: {length}"))
            }
            _ => Ok(()),
        }
    }

    /// Values lie inside `depth` arrays.
    #[inline]
    pub(crate) fn values(&mut self, depth: usize) -> Result<(), String> {
        self.has_values = true;
        if depth == self.lengths.len() { Ok(()) } else { Err(self.mixed(depth)) }
    }

    pub(crate) fn shape(&self) -> Shape {
        self.lengths.iter().map(|length| length.unwrap_or(0)).collect()
    }

    #[cold]
    fn mixed(&self, depth: usize) -> String {
        format!(
            "ragged array: Expecting shape of rank {} but found values or arrays at depth {depth}",
            self.lengths.len()
        )
    }
}
