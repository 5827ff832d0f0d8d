//! A tensor's dimensions, outermost first. Up to six live without an allocation.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(SmallVec<[usize; 6]>);

impl Shape {
    /// Dimensions beyond this are refused on the wire; no model in the field comes near.
    pub const MAX_RANK: usize = 32;

    pub fn new(dims: &[usize]) -> Self {
        Self(SmallVec::from_slice(dims))
    }

    /// Number of elements; `None` when the product does not fit. A scalar has one.
    pub fn elements(&self) -> Option<usize> {
        self.0.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim))
    }

    /// The same shape with another length along `axis`.
    ///
    /// # Panics
    /// When there is no such axis.
    pub fn with_dim(&self, axis: usize, length: usize) -> Self {
        let mut shape = self.clone();
        shape.0[axis] = length;
        shape
    }

    pub fn push(&mut self, dim: usize) {
        self.0.push(dim);
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Self(dims.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, dim) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}
