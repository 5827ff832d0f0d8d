//! Accepts HTTP; bytes to requests, responses and errors to bytes; drains.
