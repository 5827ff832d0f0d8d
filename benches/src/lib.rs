//! Benchmarks: each asks a question against a baseline in the same run.
