//! What is too large, too slow or too many is refused with its own status, without harm to others.

use std::num::NonZeroUsize;
use std::time::Duration;

use http::Method;
use tidegate_ingress::IngressConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Server, binary_answer_request, infer_body, infer_head, read_all};
use crate::mock::Behaviour;

async fn with(config: IngressConfig) -> Server {
    Server::start(config, &[("m", Behaviour::Echo)]).await
}

async fn small_bodies() -> Server {
    with(IngressConfig { max_body_size: 1000, ..IngressConfig::default() }).await
}

#[tokio::test]
async fn a_declared_body_over_the_limit_is_refused_unread() {
    let server = small_bodies().await;
    let head = format!("{}content-length: 100000000\r\n\r\n", infer_head("m"));
    let answer = server.raw(head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("connection: close"));
    assert!(answer.contains("exceeds the maximum of 1000 bytes"));
    assert_eq!(server.mock.counts().admitted, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_is_still_sending_hears_the_413() {
    let server = small_bodies().await;
    let mut request = format!("{}content-length: 4000000\r\n\r\n", infer_head("m")).into_bytes();
    request.resize(request.len() + 4_000_000, b' ');
    let mut stream = server.connect().await;
    stream.write_all(&request).await.expect("the server takes what still comes");
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 413 "));
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_small_body_leaves_the_connection_usable() {
    let server = small_bodies().await;
    let mut caller = server.caller().await;
    for _ in 0..3 {
        let answer = caller.send(Method::POST, "/v2/models/m/infer", &[], vec![b' '; 2000]).await;
        assert_eq!(answer.status, 413);
    }
    let answer = caller.send(Method::POST, "/v2/models/m/infer", &[], infer_body(1)).await;
    assert_eq!(answer.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_chunked_body_is_stopped_at_the_limit() {
    let server = small_bodies().await;
    let mut request = format!("{}transfer-encoding: chunked\r\n\r\n", infer_head("m"));
    for _ in 0..10 {
        request.push_str(&format!("c8\r\n{}\r\n", " ".repeat(200)));
    }
    let answer = server.raw(request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.errored, counts.bytes), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_chunked_body_pays_as_it_grows() {
    let models = [("poor", Behaviour::Bytes(100)), ("rich", Behaviour::Bytes(10_000))];
    let server = Server::start(IngressConfig::default(), &models).await;
    let body = infer_body(20);
    let chunked = |model: &str| {
        let (first, second) = body.split_at(50);
        format!(
            "{}connection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            infer_head(model),
            first.len(),
            second.len()
        )
    };
    let answer = server.raw(chunked("poor")).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("retry-after: 1"));
    let answer = server.raw(chunked("rich")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn numbers_that_are_larger_than_their_text_are_paid_for() {
    let models = [("poor", Behaviour::Bytes(3_000)), ("rich", Behaviour::Bytes(10_000))];
    let server = Server::start(IngressConfig::default(), &models).await;
    let zeros = vec!["0"; 1_000].join(",");
    let body = format!(
        r#"{{"inputs":[{{"name":"x","shape":[500,2],"datatype":"FP32","data":[{zeros}]}}]}}"#
    );
    assert!(body.len() < 3_000, "the text alone would be let in");
    let mut caller = server.caller().await;
    for (model, status) in [("poor", 429), ("rich", 200)] {
        let path = format!("/v2/models/{model}/infer");
        let answer = caller.send(Method::POST, &path, &[], body.clone()).await;
        assert_eq!(answer.status, status, "{model}");
    }
    server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_head_over_the_limit_is_431() {
    let server = with(IngressConfig { max_header_size: 1000, ..IngressConfig::default() }).await;
    for size in [2_000, 300_000] {
        let answer = server
            .raw(format!(
                "GET /livez HTTP/1.1\r\nconnection: close\r\nx-long: {}\r\n\r\n",
                "a".repeat(size)
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{size}: {answer}");
    }
    assert_eq!(server.get("/livez").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let body_read_timeout = Duration::from_millis(30);
    let server = with(IngressConfig { body_read_timeout, ..IngressConfig::default() }).await;
    let answer = server.raw(format!("{}content-length: 10\r\n\r\n{{", infer_head("m"))).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.errored, counts.gone), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let header_read_timeout = Duration::from_millis(30);
    let server = with(IngressConfig { header_read_timeout, ..IngressConfig::default() }).await;
    assert_eq!(server.raw("").await, "", "nothing at all");
    assert_eq!(server.raw("PRI * HT").await, "", "half a protocol");
    assert_eq!(server.raw("GET /livez HTTP/1.1\r\nx: ").await, "", "half a head");
    let mut stream = server.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 13];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 ");
    stream.write_all(b"GET /").await.unwrap();
    let rest = read_all(&mut stream).await;
    assert!(rest.contains(r#"{"live":true}"#), "half a second head: {rest}");
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let idle_timeout = Duration::from_millis(30);
    let server = with(IngressConfig { idle_timeout, ..IngressConfig::default() }).await;
    let answer = server.raw("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("connection: close"));
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_does_not_read_its_answer_is_given_up() {
    let config =
        IngressConfig { write_timeout: Duration::from_millis(50), ..IngressConfig::default() };
    let server = Server::start(config, &[("big", Behaviour::Rows(2_000_000))]).await;
    let mut stream = server.connect().await;
    stream.write_all(binary_answer_request("big").as_bytes()).await.unwrap();
    let counts = server.mock.until(|counts| counts.responded == 1 && counts.held == 0).await;
    assert_eq!(counts.gone, 0);
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let max_connections = NonZeroUsize::new(2).unwrap();
    let server = with(IngressConfig { max_connections, ..IngressConfig::default() }).await;
    let mut first = server.caller().await;
    let mut second = server.caller().await;
    for caller in [&mut first, &mut second] {
        assert_eq!(caller.send(Method::GET, "/livez", &[], "").await.status, 200);
    }
    let refused = server.raw("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1"),
        "{refused}"
    );
    let (head, body) = refused.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())));
    assert_eq!(first.send(Method::GET, "/livez", &[], "").await.status, 200, "the others live on");
    drop(second);
    // The place is free once the server has seen the close.
    let mut tries = 0;
    while !server
        .raw("GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n")
        .await
        .starts_with("HTTP/1.1 200 ")
    {
        tries += 1;
        assert!(tries < 1000);
    }
    drop(first);
    server.stop().await;
}

#[tokio::test]
async fn json_nesting_has_a_limit() {
    let server = with(IngressConfig { max_json_depth: 10, ..IngressConfig::default() }).await;
    let answer = server.post("/v2/models/m/infer", "[".repeat(1000)).await;
    assert_eq!(answer.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn expect_continue_is_honoured_only_when_the_body_is_wanted() {
    let server = small_bodies().await;
    let refused = server
        .raw(format!("{}expect: 100-continue\r\ncontent-length: 5000\r\n\r\n", infer_head("m")))
        .await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    let body = infer_body(1);
    let head = format!(
        "{}connection: close\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        infer_head("m"),
        body.len()
    );
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200 "));
    server.stop().await;
}
