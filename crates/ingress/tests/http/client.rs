//! A server on port 0 that stops by itself, and a caller for it: one HTTP/1 connection a request, or raw
//! bytes where HTTP's own manners are the question.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tidegate_credentials::{Door, Keys, Port};
use tidegate_inference::Management;
use tidegate_ingress::{Drain, Ingress, IngressConfig, IoThreads, ListenAddress, Listener, Rounds};
use tidegate_telemetry::{AccessLog, AccessSampling, Telemetry};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::manager::Manager;
use crate::mock::{Behaviour, Mock};

/// Nothing in these tests may take longer; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Server {
    /// The first one over TCP.
    pub address: SocketAddr,
    pub addresses: Vec<ListenAddress>,
    pub mock: Arc<Mock>,
    pub manager: Arc<Manager>,
    pub telemetry: Arc<Telemetry>,
    pub drain: Drain,
    serving: JoinHandle<()>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Server {
    pub async fn start(config: IngressConfig, models: &[(&str, Behaviour)]) -> Self {
        Self::listening(config, models, &[loopback()]).await
    }

    pub async fn listening(
        config: IngressConfig,
        models: &[(&str, Behaviour)],
        addresses: &[ListenAddress],
    ) -> Self {
        Self::open(config, models, addresses, None).await
    }

    /// Callers need one of these keys, a line each; with `metrics`, scrapers too.
    pub async fn guarded(
        config: IngressConfig,
        models: &[(&str, Behaviour)],
        keys: &str,
        metrics: bool,
    ) -> Self {
        Self::open(config, models, &[loopback()], Some((keys, metrics))).await
    }

    async fn open(
        config: IngressConfig,
        models: &[(&str, Behaviour)],
        addresses: &[ListenAddress],
        keys: Option<(&str, bool)>,
    ) -> Self {
        let mock = Mock::new(models);
        let telemetry = Telemetry::new();
        let door = keys.map(|(keys, metrics)| door(keys, metrics, &telemetry));
        let drain = Drain::new();
        let access = AccessLog::new(AccessSampling::ALL);
        let manager = Arc::<Manager>::default();
        let management: Arc<dyn Management> = Arc::<Manager>::clone(&manager);
        let ingress = Ingress::new(
            config,
            Arc::clone(&mock),
            management,
            Arc::clone(&telemetry),
            access,
            door,
            drain.clone(),
        );
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(Listener::bind(address).await.unwrap());
        }
        let addresses: Vec<_> =
            listeners.iter().map(|listener| listener.address().clone()).collect();
        let over_tcp = addresses.iter().find_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        });
        let address = over_tcp.expect("every test has one");
        let log = tracing::dispatcher::get_default(Clone::clone);
        // Set for as long as the thread lives: what it logs is seen by the test that started it.
        let same_log = move || std::mem::forget(tracing::dispatcher::set_default(&log));
        let two = NonZeroUsize::new(2).unwrap();
        let threads = IoThreads::start(two, Rounds::starting(same_log)).unwrap();
        let serving = tokio::spawn(ingress.serve(listeners, threads));
        Self { address, addresses, mock, manager, telemetry, drain, serving }
    }

    /// With defaults and one model, `m`, that echoes.
    pub async fn echo() -> Self {
        Self::start(IngressConfig::default(), &[("m", Behaviour::Echo)]).await
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub async fn caller(&self) -> Caller {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Caller(sender)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, &[], body).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.caller().await.send(method, path, headers, body).await
    }

    /// Sends these bytes and returns all that comes until the server closes.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read everything; what it said is what counts.
        let _ = stream.write_all(request.as_ref()).await;
        read_all(&mut stream).await
    }

    /// Drains, and waits until the server has returned.
    pub async fn stop(self) {
        self.drain.begin();
        timeout(PATIENCE, self.serving).await.expect("the drain ends").unwrap();
    }
}

fn door(keys: &str, metrics: bool, telemetry: &Arc<Telemetry>) -> Door {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, keys).unwrap();
    Door::new(Keys::read(&file, telemetry).unwrap(), Port::Data, metrics)
}

/// A connection that is kept.
pub struct Caller(http1::SendRequest<Full<Bytes>>);

impl Caller {
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let request = request(method, path, headers, body);
        self.0.ready().await.unwrap();
        let response = timeout(PATIENCE, self.0.send_request(request)).await.unwrap().unwrap();
        Answer::read(response).await
    }

    pub async fn is_closed(&mut self) -> bool {
        timeout(PATIENCE, async {
            while self.0.ready().await.is_ok() {
                tokio::task::yield_now().await
            }
        })
        .await
        .is_ok()
    }
}

pub fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

impl Answer {
    pub async fn read(response: http::Response<hyper::body::Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn error(&self) -> String {
        self.json()["error"].as_str().expect("an error").to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What comes until the other side closes.
pub async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    // A reset after the answer is an end like any other.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("the server closes");
    String::from_utf8_lossy(&text).into_owned()
}

/// Any free port.
pub fn loopback() -> ListenAddress {
    ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into())
}

/// A V2 infer body for `x` with these rows.
pub fn infer_body(rows: usize) -> String {
    let data = vec!["1.5"; rows * 2].join(",");
    format!(r#"{{"inputs":[{{"name":"x","shape":[{rows},2],"datatype":"FP32","data":[{data}]}}]}}"#)
}

/// The head of a V2 infer request to `model`, without its closing empty line.
pub fn infer_head(model: &str) -> String {
    format!("POST /v2/models/{model}/infer HTTP/1.1\r\nhost: test\r\n")
}

/// A whole V2 infer request to `model`.
pub fn infer_request(model: &str) -> String {
    whole_request(model, &infer_body(1))
}

/// The same, for an answer in binary: megabytes of it cost nothing to write.
pub fn binary_answer_request(model: &str) -> String {
    let parameters = r#"{"parameters":{"binary_data_output":true},"#;
    whole_request(model, &infer_body(1).replacen('{', parameters, 1))
}

fn whole_request(model: &str, body: &str) -> String {
    format!("{}content-length: {}\r\n\r\n{body}", infer_head(model), body.len())
}
