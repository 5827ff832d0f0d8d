//! How the process leaves when it is told to: readiness first, then what is inside, then status 0.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::process::{self, Process, digits, onnxruntime};

const BODY: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}"#;

/// A request of which half the body has arrived: it is inside until its caller sends the rest.
struct HalfSent(TcpStream);

impl HalfSent {
    fn to(gateway: &Process) -> Self {
        let mut stream = TcpStream::connect(gateway.data_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "POST /v2/models/affine/infer HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n{}",
            BODY.len(),
            &BODY[..10]
        )
        .unwrap();
        Self(stream)
    }

    fn finish(mut self) -> String {
        self.0.write_all(&BODY.as_bytes()[10..]).unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer
    }
}

async fn started(folder: &std::path::Path) -> (Process, HalfSent) {
    let mut command = process::command();
    command.arg("serve").args(process::fixtures(folder, &["affine"]));
    let mut gateway = Process::start(command);
    gateway.until_ready();
    gateway.client.get(&gateway.admin("/readyz")).await.expect(200);
    let inside = HalfSent::to(&gateway);
    let url = gateway.admin("/metrics");
    let in_flight = async {
        while crate::scrape::Scrape::of(gateway.client.get(&url).await.text())
            .sum("tidegate_requests_in_flight", &[])
            < 1.0
        {}
    };
    tokio::time::timeout(Duration::from_secs(30), in_flight).await.expect("the half is inside");
    (gateway, inside)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_turns_readiness_off_finishes_what_is_inside_and_ends_with_status_0() {
    if onnxruntime().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut gateway, inside) = started(folder.path()).await;
    gateway.signal("TERM");
    gateway.until_said("draining");
    let readyz = gateway.admin("/readyz");
    let not_ready = async { while gateway.client.get(&readyz).await.status != 503 {} };
    tokio::time::timeout(Duration::from_secs(30), not_ready).await.expect("readiness is off");
    gateway.client.get(&gateway.admin("/livez")).await.expect(200);

    let answer = tokio::task::spawn_blocking(|| inside.finish()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("[3.0,5.0,7.0,9.0]"), "{answer}");
    assert_eq!(gateway.until_said("stopped")["drained"], true);
    assert_eq!(gateway.exit().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_whatever_is_inside() {
    if onnxruntime().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut gateway, inside) = started(folder.path()).await;
    gateway.signal("TERM");
    gateway.until_said("draining");
    gateway.signal("TERM");
    assert_eq!(gateway.exit().code(), Some(128 + 15));
    drop(inside);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_never_finishes_is_cut_off_after_the_grace_period_and_the_status_says_so() {
    if onnxruntime().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = process::command();
    command.arg("serve").args(digits(folder.path())).args(["--grace-period", "200ms"]);
    let mut gateway = Process::start(command);
    gateway.until_ready();
    let inside = TcpStream::connect(gateway.data_address()).map(|mut stream| {
        stream
            .write_all(b"POST /predict HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n{")
            .unwrap();
        stream
    });
    // Connections are taken in order: with this one answered, the one before is inside.
    gateway.client.get(&gateway.data("/livez")).await.expect(200);
    gateway.signal("TERM");
    assert_eq!(gateway.until_said("stopped")["drained"], false);
    assert_eq!(gateway.exit().code(), Some(1));
    drop(inside);
}
