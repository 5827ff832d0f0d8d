//! Several listeners, over TCP and Unix sockets: each speaks everything, one limit holds for all of them, and a
//! drain closes them all.

use std::num::NonZeroUsize;
use std::path::Path;

use tempfile::TempDir;
use tidegate_ingress::{IngressConfig, ListenAddress};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use crate::client::{Server, infer_request, loopback, read_all};
use crate::mock::Behaviour;

const PROBE: &str = "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Two over TCP and one over a Unix socket in the folder.
async fn three(config: IngressConfig, folder: &TempDir) -> Server {
    let socket = ListenAddress::Unix(folder.path().join("data.sock"));
    let addresses = [loopback(), socket, loopback()];
    Server::listening(config, &[("m", Behaviour::Echo)], &addresses).await
}

async fn ask_tcp(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

async fn ask_unix(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

async fn ask(address: &ListenAddress, request: &str) -> String {
    match address {
        ListenAddress::Tcp(address) => ask_tcp(*address, request).await,
        ListenAddress::Unix(path) => ask_unix(path, request).await,
    }
}

#[tokio::test]
async fn every_listener_answers_predictions_and_probes() {
    let folder = tempfile::tempdir().unwrap();
    let server = three(IngressConfig::default(), &folder).await;
    for address in &server.addresses {
        let answers = ask(address, &format!("{}{PROBE}", infer_request("m"))).await;
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2, "{address}: {answers}");
        assert!(answers.contains("\"model_name\":\"m\""), "{address}: {answers}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_limit_on_connections_holds_over_all_listeners() {
    let folder = tempfile::tempdir().unwrap();
    let max_connections = NonZeroUsize::new(2).unwrap();
    let config = IngressConfig { max_connections, ..IngressConfig::default() };
    let server = three(config, &folder).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut caller = server.caller().await;
        assert_eq!(caller.send(http::Method::GET, "/livez", &[], "").await.status, 200);
        held.push(caller);
    }
    for address in &server.addresses {
        let answer = ask(address, PROBE).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{address}: {answer}");
    }
    drop(held);
    server.stop().await;
}

#[tokio::test]
async fn a_drain_closes_every_listener_and_removes_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let server = three(IngressConfig::default(), &folder).await;
    let addresses = server.addresses.clone();
    server.stop().await;
    for address in addresses {
        let refused = match &address {
            ListenAddress::Tcp(address) => TcpStream::connect(address).await.is_err(),
            ListenAddress::Unix(path) => {
                assert!(!path.exists());
                UnixStream::connect(path).await.is_err()
            }
        };
        assert!(refused, "{address}");
    }
}
