//! How urgent a request is, among those that wait for the same version.
//!
//! The surprising thing is the direction: level 1 is the most urgent, as in Triton's `priority`
//! parameter, so a larger number means later. There is no `Ord`, because either reading of "the
//! greater priority" would mislead somebody; compare levels.

use std::fmt;

/// A level from 1, the most urgent, to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Priority(u8);

impl Priority {
    pub const HIGHEST: Self = Self(1);
    pub const DEFAULT: Self = Self(5);
    pub const LOWEST: Self = Self(10);

    /// Of a number that a caller sent. 0 and everything above the lowest level mean the default, as
    /// Triton has it: a caller that was written for another server's levels is served, not refused.
    pub fn from_wire(number: u64) -> Self {
        match u8::try_from(number) {
            Ok(level) if (Self::HIGHEST.0..=Self::LOWEST.0).contains(&level) => Self(level),
            _ => Self::DEFAULT,
        }
    }

    /// 1 to 10; 1 is the most urgent.
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_out_of_range_is_the_default_level() {
        let level = |number| Priority::from_wire(number).level();
        assert_eq!([1, 2, 5, 10].map(level), [1, 2, 5, 10]);
        assert_eq!([0, 11, 256, 257, u64::MAX].map(level), [5; 5]);
    }
}
