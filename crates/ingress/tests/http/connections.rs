//! HTTP/1's own manners: pipelining, keep-alive, and requests that are not HTTP.

use crate::client::{Server, infer_request};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::echo().await;
    let close = "GET /nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let request = format!("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n{}{close}", infer_request("m"));
    let answers = server.raw(request).await;
    let statuses: Vec<&str> =
        answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "404"], "{answers}");
    server.stop().await;
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = Server::echo().await;
    assert!(server.raw("GET /livez HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 "));
    server.stop().await;
}

#[tokio::test]
async fn malformed_requests_are_refused_and_nothing_breaks() {
    let server = Server::echo().await;
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    for bad in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /livez HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
        "GET /\u{1f}bad HTTP/1.1\r\n\r\n",
        &long_line,
    ] {
        let answer = server.raw(bad).await;
        let refused = ["HTTP/1.1 400 ", "HTTP/1.1 414 ", "HTTP/1.1 431 "];
        let fine = answer.is_empty() || refused.iter().any(|status| answer.starts_with(status));
        assert!(fine, "{bad:?}: {answer}");
    }
    assert_eq!(server.get("/livez").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn open_connections_are_counted() {
    let server = Server::echo().await;
    let mut caller = server.caller().await;
    assert_eq!(caller.send(http::Method::GET, "/livez", &[], "").await.status, 200);
    let metrics = server.telemetry.encode();
    assert!(metrics.contains("\ntidegate_connections 1\n"), "{metrics}");
    server.stop().await;
}
