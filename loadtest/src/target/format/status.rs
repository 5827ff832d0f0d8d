//! Status codes and what they mean for a load: who was at fault, and whether it was shed. One table for HTTP, one
//! for gRPC.

use http::StatusCode;
use serde_json::Value;

use super::Refusal;
use crate::question::{Answer, Ending};

/// Characters of a server's words that are kept.
const SHOWN: usize = 200;
/// A longer body is no error message, and is not searched for one.
const LONGEST_MESSAGE: usize = 16 * 1024;

pub(super) fn http_refusal(answer: &Answer) -> Option<Refusal> {
    let ending = http_ending(answer.status)?;
    Some(Refusal { ending, detail: format!("{}: {}", answer.status.as_u16(), words(answer)) })
}

/// `None` for success.
fn http_ending(status: StatusCode) -> Option<Ending> {
    Some(match status.as_u16() {
        200..300 => return None,
        429 => Ending::Refused,
        503 => Ending::Unavailable,
        // 408 is a server that gave up on a slow request.
        408 | 504 => Ending::TooLate,
        // What is not offered was asked for in error, as gRPC's UNIMPLEMENTED has it.
        501 => Ending::Invalid,
        500.. => Ending::Failed,
        // Redirects, too: the target is not where it was said to be.
        _ => Ending::Invalid,
    })
}

/// The ending and the name of a gRPC status code.
pub(super) fn grpc_ending(code: &str) -> (Ending, String) {
    let (ending, name) = match code {
        "1" => (Ending::Failed, "CANCELLED"),
        "2" => (Ending::Failed, "UNKNOWN"),
        "3" => (Ending::Invalid, "INVALID_ARGUMENT"),
        "4" => (Ending::TooLate, "DEADLINE_EXCEEDED"),
        "5" => (Ending::Invalid, "NOT_FOUND"),
        "6" => (Ending::Invalid, "ALREADY_EXISTS"),
        "7" => (Ending::Invalid, "PERMISSION_DENIED"),
        "8" => (Ending::Refused, "RESOURCE_EXHAUSTED"),
        "9" => (Ending::Invalid, "FAILED_PRECONDITION"),
        "10" => (Ending::Failed, "ABORTED"),
        "11" => (Ending::Invalid, "OUT_OF_RANGE"),
        "12" => (Ending::Invalid, "UNIMPLEMENTED"),
        "13" => (Ending::Failed, "INTERNAL"),
        "14" => (Ending::Unavailable, "UNAVAILABLE"),
        "15" => (Ending::Failed, "DATA_LOSS"),
        "16" => (Ending::Invalid, "UNAUTHENTICATED"),
        _ => return (Ending::Unreadable, format!("status {code:.20}")),
    };
    (ending, name.to_owned())
}

/// As much of a server's words as a report has room for; `None` when there are none.
pub(super) fn shown(words: &str) -> Option<String> {
    let shown: String = words.trim().chars().take(SHOWN).collect();
    Some(shown).filter(|shown| !shown.is_empty())
}

/// The message of a JSON error body as servers write it, or the head of whatever it is.
fn words(answer: &Answer) -> String {
    let body = &answer.body[..];
    let message = (body.len() <= LONGEST_MESSAGE)
        .then(|| serde_json::from_slice::<Value>(body).ok())
        .flatten()
        .and_then(|value| {
            ["error", "detail", "message"].into_iter().find_map(|key| message(&value, key))
        });
    let text = match message {
        Some(message) => message,
        None => String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]).into_owned(),
    };
    let reason = || answer.status.canonical_reason().unwrap_or("no reason given").to_owned();
    shown(&text).unwrap_or_else(reason)
}

fn message(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn refused(status: u16, body: &'static str) -> Option<Refusal> {
        http_refusal(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body),
            trailers: HeaderMap::new(),
        })
    }

    #[test]
    fn every_status_has_its_ending() {
        for (status, ending) in [
            (302, Ending::Invalid),
            (400, Ending::Invalid),
            (404, Ending::Invalid),
            (408, Ending::TooLate),
            (413, Ending::Invalid),
            (429, Ending::Refused),
            (499, Ending::Invalid),
            (500, Ending::Failed),
            (501, Ending::Invalid),
            (502, Ending::Failed),
            (503, Ending::Unavailable),
            (504, Ending::TooLate),
            (599, Ending::Failed),
        ] {
            assert_eq!(refused(status, "").unwrap().ending, ending, "{status}");
        }
        assert_eq!(refused(200, "anything"), None);
        assert_eq!(refused(204, ""), None);
    }

    #[test]
    fn every_grpc_code_has_its_ending() {
        let endings: Vec<Ending> = (1..=17).map(|code| grpc_ending(&code.to_string()).0).collect();
        use Ending::{Failed, Invalid, Refused, TooLate, Unavailable, Unreadable};
        assert_eq!(
            endings,
            [
                Failed,
                Failed,
                Invalid,
                TooLate,
                Invalid,
                Invalid,
                Invalid,
                Refused,
                Invalid,
                Failed,
                Invalid,
                Invalid,
                Failed,
                Unavailable,
                Failed,
                Invalid,
                Unreadable
            ]
        );
    }

    #[test]
    fn the_servers_words_are_told_wherever_they_stand() {
        for (body, told) in [
            (r#"{"error":"queue is full"}"#, "429: queue is full"),
            (r#"{ "error": "queue is full" }"#, "429: queue is full"),
            (r#"{"detail":[{"loc":1}]}"#, r#"429: [{"loc":1}]"#),
            (r#"{"error":null,"message":"m"}"#, "429: m"),
            ("<html>busy</html>\n", "429: <html>busy</html>"),
            ("", "429: Too Many Requests"),
        ] {
            assert_eq!(refused(429, body).unwrap().detail, told);
        }
        let long: &'static str = "x".repeat(100_000).leak();
        assert_eq!(refused(500, long).unwrap().detail.len(), 205);
    }
}
