//! What both gRPC protocols share: a call is a POST with a framed message, and its status stands behind the answer.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode;

use super::{Manner, Refusal, status};
use crate::question::{Answer, Ending, Prepared};

/// `method`: `/package.Service/Method`.
pub(super) fn call(manner: &Manner, method: &str, message: Bytes) -> Prepared {
    let own = [
        (CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
        (TE, HeaderValue::from_static("trailers")),
    ];
    manner.prepared(method.to_owned(), message, &own)
}

/// The status is in the trailers, or in the headers of an answer that has nothing else.
pub(super) fn refusal(answer: &Answer) -> Option<Refusal> {
    let told = [&answer.trailers, &answer.headers];
    let Some((map, code)) = told.into_iter().find_map(|map| Some((map, map.get("grpc-status")?)))
    else {
        return Some(status::http_refusal(answer).unwrap_or_else(|| Refusal {
            ending: Ending::Unreadable,
            detail: "the answer has no grpc-status".to_owned(),
        }));
    };
    let code = code.to_str().unwrap_or_default();
    if code == "0" {
        return None;
    }
    let (ending, name) = status::grpc_ending(code);
    Some(Refusal { ending, detail: format!("{name}: {}", message(map)) })
}

fn message(map: &HeaderMap) -> String {
    let message = map.get("grpc-message").map_or(&b""[..], HeaderValue::as_bytes);
    let message = percent_decode(message).decode_utf8_lossy();
    status::shown(&message).unwrap_or_else(|| "no reason given".to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, StatusCode};

    use super::*;

    fn answer(
        status: u16,
        headers: &[(&'static str, &str)],
        trailers: &[(&'static str, &str)],
    ) -> Answer {
        let map = |entries: &[(&'static str, &str)]| -> HeaderMap {
            let entries = entries.iter();
            entries
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect()
        };
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map(headers),
            body: Bytes::new(),
            trailers: map(trailers),
        }
    }

    #[test]
    fn the_status_is_read_from_trailers_or_headers() {
        let message = ("grpc-message", "queue%20is full: %C3%BC");
        let expected = Refusal {
            ending: Ending::Refused,
            detail: "RESOURCE_EXHAUSTED: queue is full: ü".into(),
        };
        let failed = [("grpc-status", "8"), message];
        assert_eq!(refusal(&answer(200, &[], &failed)), Some(expected.clone()));
        assert_eq!(refusal(&answer(200, &failed, &[])), Some(expected));
        assert_eq!(refusal(&answer(200, &[], &[("grpc-status", "0")])), None);
    }

    #[test]
    fn an_answer_without_a_status_is_unreadable_or_some_proxys() {
        let unreadable = refusal(&answer(200, &[], &[])).unwrap();
        assert_eq!(unreadable.ending, Ending::Unreadable);
        assert_eq!(refusal(&answer(503, &[], &[])).unwrap().ending, Ending::Unavailable);
        let odd = refusal(&answer(200, &[], &[("grpc-status", "many")])).unwrap();
        assert_eq!(odd.detail, "status many: no reason given");
    }
}
