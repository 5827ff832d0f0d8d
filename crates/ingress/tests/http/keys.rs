//! API keys on the data port: what needs which scope, what a refusal looks like and costs, and that no key is told.

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_inference::{Entrypoint, ErrorKind};
use tidegate_ingress::IngressConfig;
use tokio::io::AsyncWriteExt;

use crate::access::Log;
use crate::client::{Answer, Server, infer_body, infer_head, read_all};
use crate::mock::{Behaviour, Counts};

pub const WEB: &str = "0123456789abcdef-web";
pub const OPS: &str = "0123456789abcdef-ops";
pub const SCRAPER: &str = "0123456789abcdef-scraper";
pub const STRANGER: &str = "0123456789abcdef-stranger";
pub const FILE: &str = "web 0123456789abcdef-web predict\n\
                        ops 0123456789abcdef-ops admin\n\
                        scraper 0123456789abcdef-scraper metrics\n";

const INFER: &str = "/v2/models/m/infer";

pub async fn guarded(metrics: bool) -> Server {
    let config = IngressConfig { management: true, ..IngressConfig::default() };
    Server::guarded(config, &[("m", Behaviour::Echo)], FILE, metrics).await
}

async fn status(server: &Server, method: &str, path: &str, key: Option<&str>) -> u16 {
    let headers: Vec<_> = key.map(|key| ("x-api-key", key)).into_iter().collect();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    server.send(method, path, &headers, "").await.status.as_u16()
}

#[tokio::test]
async fn every_path_but_probes_needs_a_key_with_its_scope() {
    let server = guarded(true).await;
    for (method, path) in [
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("HEAD", "/v2/health/live"),
        ("GET", "/v2/health/ready"),
        ("GET", "/v2/models/m/ready"),
        ("GET", "/v2/models/m/versions/1/ready"),
    ] {
        assert_eq!(status(&server, method, path, None).await, 200, "{path}");
        assert_eq!(status(&server, method, path, Some(STRANGER)).await, 200, "{path}");
    }
    for (method, path, good, bad) in [
        ("POST", INFER, WEB, OPS),
        ("POST", "/v1/models/m:predict", WEB, OPS),
        ("POST", "/predict", WEB, SCRAPER),
        ("GET", "/v2", WEB, OPS),
        ("GET", "/v2/models", WEB, OPS),
        ("GET", "/v2/models/m", WEB, OPS),
        ("GET", "/v2/models/m/config", WEB, OPS),
        ("GET", "/v2/models/m/stats", WEB, OPS),
        ("GET", "/v1/models/m", WEB, OPS),
        ("GET", "/v1/models/m/metadata", WEB, OPS),
        ("GET", "/openapi.json", WEB, OPS),
        ("POST", "/v2/repository/index", WEB, OPS),
        ("GET", "/v2/systemsharedmemory/status", WEB, OPS),
        ("GET", "/v2/logging", WEB, OPS),
        ("GET", "/v2/trace/setting", WEB, OPS),
        ("POST", "/v2/trace/setting", OPS, WEB),
        ("POST", "/v2/logging", OPS, WEB),
        ("POST", "/v2/repository/models/m/load", OPS, WEB),
        ("POST", "/v2/repository/models/m/unload", OPS, WEB),
        ("GET", "/metrics", SCRAPER, WEB),
        ("GET", "/monitoring/prometheus/metrics", SCRAPER, WEB),
        ("GET", "/nowhere", WEB, OPS),
        ("DELETE", INFER, WEB, OPS),
    ] {
        assert_eq!(status(&server, method, path, None).await, 401, "{path}");
        assert_eq!(status(&server, method, path, Some(STRANGER)).await, 401, "{path}");
        assert_eq!(status(&server, method, path, Some(bad)).await, 403, "{path}");
        let let_in = status(&server, method, path, Some(good)).await;
        assert!(![401, 403].contains(&let_in), "{path}: {let_in}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_scrape_needs_no_key_unless_it_was_asked_for() {
    let server = guarded(false).await;
    assert_eq!(status(&server, "GET", "/metrics", None).await, 200);
    assert_eq!(status(&server, "GET", "/metrics", Some(STRANGER)).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_key_comes_as_a_bearer_token_or_in_a_header_of_its_own() {
    let server = guarded(false).await;
    let bearer = |key: &str| format!("Bearer {key}");
    let (web, ops) = (bearer(WEB), bearer(OPS));
    for (headers, expected) in [
        (vec![("authorization", &*web)], 200),
        (vec![("authorization", "bearer 0123456789abcdef-web")], 200),
        (vec![("x-api-key", WEB)], 200),
        (vec![("x-api-key", WEB), ("authorization", &*web)], 200),
        (vec![("x-api-key", WEB), ("authorization", &*ops)], 401),
        (vec![("authorization", &*web), ("authorization", &*web)], 401),
        (vec![("authorization", WEB)], 401),
    ] {
        let answer = server.send(Method::POST, INFER, &headers, infer_body(1)).await;
        assert_eq!(answer.status, expected, "{headers:?}");
    }
    server.stop().await;
}

/// In the spelling of each contract, and with what HTTP asks for.
#[tokio::test]
async fn a_refusal_says_how_to_do_better_in_the_words_of_its_path() {
    let server = guarded(false).await;
    for path in [INFER, "/v1/models/m:predict", "/predict", "/v1/nowhere", "/nowhere"] {
        let answer = server.post(path, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"));
        assert!(answer.error().contains("an API key is needed"), "{}", answer.text());
        let answer = server.send(Method::POST, path, &[("x-api-key", OPS)], "{}").await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (403, ""));
        let lacks = "API key 'ops' lacks the scope 'predict', which this needs";
        assert_eq!(answer.error(), lacks);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_takes_no_permit_and_reads_no_body() {
    let server = guarded(false).await;
    let mut stream = server.connect().await;
    // Announced, and never sent: whoever read it would wait.
    let head = format!("{}content-length: 60000000\r\n\r\n", infer_head("m"));
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(server.mock.counts(), Counts::default());
    server.stop().await;
}

#[tokio::test]
async fn a_connection_serves_on_after_a_refusal() {
    let server = guarded(false).await;
    let mut caller = server.caller().await;
    for (key, expected) in [(STRANGER, 401), (OPS, 403), (WEB, 200)] {
        let headers = [("x-api-key", key)];
        let answer = caller.send(Method::POST, INFER, &headers, infer_body(1)).await;
        assert_eq!(answer.status, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn each_stream_of_an_http2_connection_brings_its_own_key() {
    let server = guarded(false).await;
    let io = TokioIo::new(server.connect().await);
    let handshake = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io);
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    for (key, expected) in [(WEB, 200), (STRANGER, 401), (OPS, 403), (WEB, 200)] {
        let request = http::Request::post(format!("http://test{INFER}")).header("x-api-key", key);
        let request = request.body(Full::new(infer_body(1).into())).unwrap();
        let answer = Answer::read(sender.send_request(request).await.unwrap()).await;
        assert_eq!(answer.status, expected);
    }
    drop(sender);
    server.stop().await;
}

#[tokio::test]
async fn refused_predictions_are_counted_and_logged_by_name_and_no_key_is_told_anywhere() {
    let (log, _guard) = Log::capture();
    let server = guarded(false).await;
    let mut heads: Vec<HeaderMap> = Vec::new();
    let mut told = String::new();
    for (path, key) in [
        (INFER, None),
        (INFER, Some(STRANGER)),
        (INFER, Some(OPS)),
        (INFER, Some(WEB)),
        ("/v1/models/m:predict", Some(OPS)),
        ("/v2/repository/models/m/load", Some(OPS)),
        ("/v2/models", Some(OPS)),
    ] {
        let headers: Vec<_> = key.map(|key| ("x-api-key", key)).into_iter().collect();
        let method = if path == "/v2/models" { Method::GET } else { Method::POST };
        let body = if path == INFER { infer_body(1) } else { String::new() };
        let answer = server.send(method, path, &headers, body).await;
        told.push_str(answer.text());
        heads.push(answer.headers);
    }
    let page = server.telemetry.encode();
    let tensorflow = server.mock.tensorflow();
    server.stop().await;

    for line in [
        r#"tidegate_requests_refused_total{protocol="http_v2_json",reason="unauthenticated"} 2"#,
        r#"tidegate_requests_refused_total{protocol="http_v2_json",reason="permission_denied"} 1"#,
        r#"tidegate_requests_refused_total{protocol="http_tfs",reason="permission_denied"} 1"#,
        r#":tensorflow:serving:request_count{model_name="m",status="PERMISSION_DENIED"} 1"#,
        r#"tidegate_api_key_requests_total{key="ops",port="data",outcome="denied"} 3"#,
        r#"tidegate_api_key_requests_total{key="ops",port="data",outcome="allowed"} 1"#,
        r#"tidegate_api_key_requests_total{key="web",port="data",outcome="allowed"} 1"#,
        r#"tidegate_api_keys_rejected_total{port="data",reason="missing"} 1"#,
        r#"tidegate_api_keys_rejected_total{port="data",reason="unknown"} 1"#,
    ] {
        assert!(page.lines().any(|one| one == line), "{line}: {page}");
    }
    let none: &[(Entrypoint, Result<(), ErrorKind>)] = &[];
    assert_eq!(tensorflow, none, "nobody was admitted");
    let lines = log.access();
    let ends: Vec<_> =
        lines.iter().map(|line| (line["key"].as_str(), line["status"].as_i64().unwrap())).collect();
    let expected =
        [(None, 401), (None, 401), (Some("ops"), 403), (Some("web"), 200), (Some("ops"), 403)];
    assert_eq!(ends, expected);
    assert!(log.text().contains("\"by\":\"ops\",\"what\":\"load of m\""), "{}", log.text());
    for place in [&page, &log.text(), &told, &format!("{heads:?}")] {
        assert!(!place.contains("0123456789abcdef"), "{place}");
    }
}
