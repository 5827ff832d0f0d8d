//! Bodies that are compressed, large, or sent over HTTP/2.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::Method;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_ingress::IngressConfig;

use crate::client::{Answer, Server, infer_body, request};
use crate::mock::Behaviour;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

async fn infer_encoded(server: &Server, encoding: &str, body: Vec<u8>) -> Answer {
    let headers = [("content-encoding", encoding)];
    server.send(Method::POST, "/v2/models/m/infer", &headers, body).await
}

#[tokio::test]
async fn compressed_bodies_are_inflated_and_paid_for() {
    let server = Server::start(IngressConfig::default(), &[("m", Behaviour::Bytes(2_000))]).await;
    let body = infer_body(100);
    for (encoding, sent) in [("gzip", gzip(body.as_bytes())), ("deflate", deflate(body.as_bytes()))]
    {
        let answer = infer_encoded(&server, encoding, sent).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let too_dear = gzip(infer_body(1000).as_bytes());
    assert_eq!(infer_encoded(&server, "gzip", too_dear).await.status, 429);
    server.mock.until(|counts| counts.held == 0 && counts.bytes == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_zip_bomb_is_too_large() {
    let config = IngressConfig { max_body_size: 100_000, ..IngressConfig::default() };
    let server = Server::start(config, &[("m", Behaviour::Echo)]).await;
    let bomb = gzip(&vec![b' '; 20 << 20]);
    assert!(bomb.len() < 100_000);
    let answer = infer_encoded(&server, "gzip", bomb).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(infer_encoded(&server, "gzip", b"no gzip".to_vec()).await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_encoding_is_not_implemented() {
    let server = Server::echo().await;
    let answer = infer_encoded(&server, "br", b"anything".to_vec()).await;
    assert_eq!((answer.status.as_u16(), answer.header("accept-encoding")), (501, "gzip, deflate"));
    assert_eq!(server.mock.counts().admitted, 0);
    server.stop().await;
}

#[tokio::test]
async fn large_bodies_come_back_whole() {
    let server = Server::echo().await;
    let rows = 50_000;
    let answer = server.post("/v2/models/m/infer", infer_body(rows)).await;
    assert_eq!(answer.status, 200);
    let data = answer.json()["outputs"][0]["data"].clone();
    let data = data.as_array().unwrap();
    assert_eq!(data.len(), rows * 2);
    assert!(data.iter().all(|value| value == 4.0));
    server.stop().await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_works_with_streams_side_by_side() {
    let server = Server::echo().await;
    let io = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut pending = Vec::new();
    for rows in [1, 2, 40_000] {
        let request = request(Method::POST, "http://test/v2/models/m/infer", &[], infer_body(rows));
        sender.ready().await.unwrap();
        pending.push((rows, tokio::spawn(sender.send_request(request))));
    }
    for (rows, response) in pending {
        let answer = Answer::read(response.await.unwrap().unwrap()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["outputs"][0]["shape"][0], rows);
    }
    let missing = request(Method::GET, "http://test/nowhere", &[], "");
    assert_eq!(sender.send_request(missing).await.unwrap().status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_whoever_accepts_it() {
    let server = Server::echo().await;
    let ask = async |rows, accepted| {
        let headers = [("accept-encoding", accepted)];
        server.send(Method::POST, "/v2/models/m/infer", &headers, infer_body(rows)).await
    };
    let plain = ask(500, "identity").await;
    assert!(plain.body.len() > 1024 && plain.header("content-encoding").is_empty());
    let compressed = ask(500, "br, gzip").await;
    assert_eq!(compressed.header("content-encoding"), "gzip");
    assert_eq!(compressed.header("vary"), "accept-encoding");
    assert!(compressed.body.len() < plain.body.len() / 4);
    let mut whole = Vec::new();
    GzDecoder::new(&compressed.body[..]).read_to_end(&mut whole).unwrap();
    assert_eq!(whole, plain.body);
    assert!(ask(1, "gzip").await.header("content-encoding").is_empty(), "a small one is not");
    server.stop().await;
}
