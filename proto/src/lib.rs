//! The wire: every format translated to and from Tidegate's own words.
