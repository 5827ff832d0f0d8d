//! JSON, as the three HTTP formats need it.

/// What a JSON body may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// Arrays and objects inside one another.
    pub max_depth: usize,
}

impl Default for JsonLimits {
    /// Triton's limit.
    fn default() -> Self {
        Self { max_depth: 100 }
    }
}
