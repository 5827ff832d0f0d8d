//! Leaving in order: not ready, no new connections, what is in flight answered, the idle closed.

use std::sync::Arc;

use http::Method;
use tidegate_ingress::IngressConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::client::{Server, infer_request, read_all};
use crate::mock::Behaviour;

#[tokio::test]
async fn what_is_in_flight_is_answered_and_the_idle_are_closed() {
    let gate = Arc::new(Semaphore::new(0));
    let server =
        Server::start(IngressConfig::default(), &[("m", Behaviour::Gate(Arc::clone(&gate)))]).await;
    let mut idle = server.caller().await;
    assert_eq!(idle.send(Method::GET, "/readyz", &[], "").await.status, 200);
    let mut busy = server.connect().await;
    busy.write_all(infer_request("m").as_bytes()).await.unwrap();
    server.mock.until(|counts| counts.running == 1).await;

    server.drain.begin();
    assert!(idle.is_closed().await);
    gate.add_permits(1);
    let answer = read_all(&mut busy).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"),
        "{answer}"
    );
    let address = server.address;
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_connection_that_was_open_hears_that_the_server_is_not_ready() {
    let gate = Arc::new(Semaphore::new(0));
    let server =
        Server::start(IngressConfig::default(), &[("m", Behaviour::Gate(Arc::clone(&gate)))]).await;
    let mut stream = server.connect().await;
    let probe = "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n";
    // The probe waits behind a request, and is read only after the drain has begun.
    stream.write_all(infer_request("m").as_bytes()).await.unwrap();
    server.mock.until(|counts| counts.running == 1).await;
    let mut fresh = server.connect().await;
    server.drain.begin();
    fresh.write_all(probe.as_bytes()).await.unwrap();
    let answer = read_all(&mut fresh).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("draining"), "{answer}");
    gate.add_permits(1);
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200 "));
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_callers_leaves_at_once() {
    Server::echo().await.stop().await;
}
