//! The key that a request's headers bring: `Authorization: Bearer KEY` or `X-API-Key: KEY`. gRPC's metadata are
//! headers, too.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What the headers say of keys.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented<'h> {
    Nothing,
    Key(&'h [u8]),
    /// Keys that differ, or a header twice. Which of them a proxy in between went by cannot be known, so none counts.
    Several,
}

pub fn presented(headers: &HeaderMap) -> Presented<'_> {
    let (Ok(authorization), Ok(api_key)) = (only(headers, AUTHORIZATION), only(headers, API_KEY))
    else {
        return Presented::Several;
    };
    match (authorization.and_then(bearer), api_key.filter(|key| !key.is_empty())) {
        (None, None) => Presented::Nothing,
        (Some(key), None) | (None, Some(key)) => Presented::Key(key),
        // Both are the caller's own: there is nothing to be timed.
        (Some(one), Some(other)) if one == other => Presented::Key(one),
        (Some(_), Some(_)) => Presented::Several,
    }
}

struct Repeated;

fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&[u8]>, Repeated> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.as_bytes());
    if values.next().is_some() { Err(Repeated) } else { Ok(first) }
}

/// `None` for other schemes: their words are for somebody else, such as a proxy.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(b"Bearer".len())?;
    let key = rest.trim_ascii_start();
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer") && key.len() < rest.len();
    (is_bearer && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        match presented(&map) {
            Presented::Nothing => "nothing".to_owned(),
            Presented::Key(key) => String::from_utf8(key.to_vec()).unwrap(),
            Presented::Several => "several".to_owned(),
        }
    }

    #[test]
    fn a_key_comes_in_either_header_and_once() {
        let (auth, own) = ("authorization", "x-api-key");
        for (headers, expected) in [
            (&[][..], "nothing"),
            (&[(auth, "Bearer k")], "k"),
            (&[(auth, "bEARER   k")], "k"),
            (&[(own, "k")], "k"),
            (&[(auth, "Bearer k"), (own, "k")], "k"),
            (&[(auth, "Bearer k"), (own, "l")], "several"),
            (&[(auth, "Bearer k"), (auth, "Bearer k")], "several"),
            (&[(auth, "Basic k"), (auth, "Bearer k")], "several"),
            (&[(own, "k"), (own, "k")], "several"),
            (&[(auth, "Basic dTpw")], "nothing"),
            (&[(auth, "Basic dTpw"), (own, "k")], "k"),
            (&[(auth, "Bearer")], "nothing"),
            (&[(auth, "Bearer ")], "nothing"),
            (&[(auth, "Bearerk")], "nothing"),
            (&[(auth, "k")], "nothing"),
            (&[(own, "")], "nothing"),
            (&[(auth, "Bearer a b")], "a b"),
        ] {
            assert_eq!(of(headers), expected, "{headers:?}");
        }
    }
}
