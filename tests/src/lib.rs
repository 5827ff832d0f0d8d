//! Integration tests: a gateway on port 0, real requests, one test binary.
