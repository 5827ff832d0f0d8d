//! Compressed request bodies. The limit holds for what comes out, so a small body that holds a large one
//! (a zip bomb) is stopped at the limit and not after it.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use tidegate_inference::{Error, ErrorKind, Result};

use crate::failure::Failure;
use crate::status::Contract;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Gzip,
    Deflate,
}

impl Encoding {
    /// What a gRPC caller is told that it may send.
    pub const FOR_GRPC: HeaderValue = HeaderValue::from_static("identity,gzip,deflate");

    /// The encoding of this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }

    /// `None` when the body is sent as it is.
    ///
    /// # Errors
    /// 501 with the encodings that are known, for any other, and for several at once.
    pub fn of(headers: &HeaderMap, contract: Contract) -> Result<Option<Self>, Failure> {
        let mut all = headers.get_all(CONTENT_ENCODING).into_iter();
        let Some(given) = all.next() else { return Ok(None) };
        let name = given.as_bytes().trim_ascii();
        let is_none = name.eq_ignore_ascii_case(b"identity") || name.is_empty();
        match (all.next(), Self::named(name)) {
            (None, Some(encoding)) => Ok(Some(encoding)),
            (None, None) if is_none => Ok(None),
            _ => {
                let shown: String = String::from_utf8_lossy(name).chars().take(64).collect();
                let message = format!(
                    "Content-Encoding '{shown}' is not supported: send gzip, deflate or none"
                );
                let failure = Failure::of(contract, Error::new(ErrorKind::Unimplemented, message));
                Err(failure.with_header("accept-encoding", "gzip, deflate"))
            }
        }
    }

    /// # Errors
    /// When the body is not what the encoding promises, or inflates beyond `limit` bytes.
    pub fn inflate(self, body: &[u8], limit: usize) -> Result<Bytes> {
        match self {
            Self::Gzip => read_up_to(MultiGzDecoder::new(body), limit),
            Self::Deflate => read_up_to(ZlibDecoder::new(body), limit),
        }
        .map_err(|error| error.within(format_args!("{} request body", self.as_str())))
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

fn read_up_to(mut source: impl Read, limit: usize) -> Result<Bytes> {
    let mut out = Vec::new();
    let allowed = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source
        .by_ref()
        .take(allowed)
        .read_to_end(&mut out)
        .map_err(|fault| Error::invalid(format!("cannot be inflated: {fault}")))?;
    if out.len() > limit {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("inflates beyond the maximum of {limit} bytes"),
        ));
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_compressed_comes_out() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"hello").unwrap();
        assert_eq!(Encoding::Deflate.inflate(&zlib.finish().unwrap(), 5).unwrap(), "hello");
        assert_eq!(Encoding::Gzip.inflate(&gzip(b"hello"), 5).unwrap(), "hello");
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![0; 4 << 20]);
        assert!(bomb.len() < 8 << 10);
        let stopped = Encoding::Gzip.inflate(&bomb, 1 << 20).unwrap_err();
        assert_eq!(stopped.kind(), ErrorKind::TooLarge);
        assert_eq!(
            stopped.message(),
            "gzip request body: inflates beyond the maximum of 1048576 bytes"
        );
    }

    #[test]
    fn garbage_and_cut_off_bodies_are_the_callers_fault() {
        let whole = gzip(b"hello");
        for bad in [&b"not gzip"[..], b"", &whole[..whole.len() - 3]] {
            let kind = Encoding::Gzip.inflate(bad, 100).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn an_unknown_encoding_is_not_implemented_and_says_what_is() {
        let of = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_str(name).unwrap());
            Encoding::of(&headers, Contract::OpenInference)
        };
        assert_eq!(of("GZIP").unwrap(), Some(Encoding::Gzip));
        assert_eq!(of("identity").unwrap(), None);
        for bad in ["br", "gzip, deflate"] {
            let refused = of(bad).unwrap_err();
            assert_eq!(refused.status, 501);
            assert_eq!(refused.header.unwrap().1, "gzip, deflate");
        }
    }
}
