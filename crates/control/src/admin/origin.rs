//! Turns away what a web page from elsewhere sends. A browser on an operator's machine reaches ports
//! that the page's author cannot; it says in `Origin` on whose behalf it asks.
//!
//! Only changes are refused: what is read, a browser does not show to such a page anyway.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;

pub async fn check(request: Request, next: Next) -> Response {
    if changes_state(request.method()) && is_foreign(request.headers()) {
        return Refusal::forbidden(
            "this change was asked for by a web page from another origin; send it without an \
             Origin header, or from a page of this very host and port",
        )
        .into_response();
    }
    next.run(request).await
}

fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether there is an `Origin` and its host and port are not those that were asked.
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    // `null` is what sandboxed and local pages send: a page all the same.
    let asking = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    match (asking, host) {
        (Some((_, asking)), Some(host)) => !asking.eq_ignore_ascii_case(host),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "Gateway:8502".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        is_foreign(&headers)
    }

    #[test]
    fn only_pages_of_the_same_host_and_port_are_at_home() {
        assert!(!foreign(None));
        assert!(!foreign(Some("http://gateway:8502")));
        assert!(!foreign(Some("https://GATEWAY:8502")));
        for page in ["http://gateway", "http://evil.example", "http://gateway:8501", "null", ""] {
            assert!(foreign(Some(page)), "{page}");
        }
    }
}
