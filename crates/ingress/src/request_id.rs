//! The name of a request in logs and in the `X-Request-Id` header: the caller's own when it sends a
//! sensible one, else a number that no other request of this or another process has.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::ascii::AsciiLine;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are replaced: they end up in every log line.
const MAX_BYTES: usize = 128;

/// Visible ASCII.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

#[derive(Debug)]
pub struct RequestIds {
    /// Drawn once per process.
    prefix: u32,
    next: AtomicU64,
}

impl RequestIds {
    pub fn new() -> Self {
        let prefix = RandomState::new().hash_one(std::process::id()) as u32;
        Self { prefix, next: AtomicU64::new(1) }
    }

    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        match headers.get(HEADER) {
            Some(given) if is_sensible(given) => RequestId(given.clone()),
            _ => self.make(),
        }
    }

    fn make(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut line = AsciiLine::<{ 8 + 1 + 16 }>::new();
        line.push_hex(self.prefix.into(), 8);
        line.push("-");
        line.push_hex(number, 1);
        RequestId(line.into_header())
    }
}

fn is_sensible(given: &HeaderValue) -> bool {
    let bytes = given.as_bytes();
    !bytes.is_empty() && bytes.len() <= MAX_BYTES && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &RequestIds, given: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(given).unwrap());
        ids.of(&headers).as_str().to_owned()
    }

    #[test]
    fn the_callers_own_is_kept_when_it_is_sensible() {
        let ids = RequestIds::new();
        assert_eq!(of(&ids, b"abc-1/2"), "abc-1/2");
        for bad in [&b""[..], b"a b", b"\xff", &[b'x'; 129]] {
            assert_ne!(of(&ids, bad).as_bytes(), bad);
        }
    }

    #[test]
    fn the_largest_number_has_room() {
        let ids = RequestIds { prefix: u32::MAX, next: AtomicU64::new(u64::MAX) };
        assert_eq!(ids.make().as_str(), "ffffffff-ffffffffffffffff");
    }

    #[test]
    fn made_ones_differ() {
        let ids = RequestIds::new();
        let (a, b) = (ids.make(), ids.make());
        assert_ne!(a.as_str(), b.as_str());
        assert_ne!(RequestIds::new().make().as_str(), RequestIds::new().make().as_str());
    }
}
