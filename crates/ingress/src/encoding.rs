//! Compressed bodies. Of requests: the limit holds for what comes out, so a small body that holds a large one
//! (a zip bomb) is stopped at the limit and not after it. Of answers: whoever accepts it gets it, from a size on
//! from which it can pay; many clients accept it without being asked.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};
use tidegate_inference::{Error, ErrorKind, Result};

use crate::failure::Failure;
use crate::status::Contract;

/// A smaller answer fits into one packet as it is.
pub const WORTH_COMPRESSING: usize = 1024;

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

    /// The one that the caller likes best for the answer; gzip among equals.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        let given = headers.get_all(ACCEPT_ENCODING).into_iter();
        let items =
            given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let mut best: Option<(f32, Self)> = None;
        for item in items {
            let (name, rest) = item.split_once(';').unwrap_or((item, ""));
            let Some(encoding) = Self::named(name.trim().as_bytes()) else { continue };
            let quality = match rest.trim().strip_prefix("q=") {
                Some(quality) => quality.trim().parse().unwrap_or(0.0),
                None => 1.0,
            };
            let is_better = best.is_none_or(|(so_far, known)| {
                quality > so_far || (quality == so_far && known == Self::Deflate)
            });
            if quality > 0.0 && is_better {
                best = Some((quality, encoding));
            }
        }
        best.map(|(_, encoding)| encoding)
    }

    /// As quickly as it goes: answers are made once for each caller.
    pub fn compress(self, chunks: &[Bytes]) -> Bytes {
        let (out, level) = (Vec::new(), Compression::fast());
        match self {
            Self::Gzip => written(GzEncoder::new(out, level), chunks).finish(),
            Self::Deflate => written(ZlibEncoder::new(out, level), chunks).finish(),
        }
        .expect("writing into memory does not fail")
        .into()
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

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

fn written<W: Write>(mut encoder: W, chunks: &[Bytes]) -> W {
    for chunk in chunks {
        encoder.write_all(chunk).expect("writing into memory does not fail");
    }
    encoder
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
    fn the_best_liked_encoding_is_taken() {
        let accepted = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            Encoding::accepted(&headers)
        };
        for value in ["gzip", "deflate, gzip", "br, gzip;q=0.5", "deflate;q=0.3,gzip;q=0.4"] {
            assert_eq!(accepted(value), Some(Encoding::Gzip), "{value}");
        }
        assert_eq!(accepted("gzip;q=0.1, deflate;q=0.2"), Some(Encoding::Deflate));
        for value in ["", "identity", "br", "gzip;q=0", "gzip;q=x", "*"] {
            assert_eq!(accepted(value), None, "{value}");
        }
    }

    #[test]
    fn what_is_compressed_in_pieces_inflates_whole() {
        let chunks = [Bytes::from(vec![7; 5000]), Bytes::from_static(b"end")];
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            let small = encoding.compress(&chunks);
            assert!(small.len() < 200);
            assert_eq!(encoding.inflate(&small, 6000).unwrap(), chunks.concat());
        }
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
