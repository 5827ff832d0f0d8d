//! The `tidegate-loadtest` program.

fn main() {}
