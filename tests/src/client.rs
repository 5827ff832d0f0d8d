//! An HTTP client that keeps its connections alive, and answers that are easy to make claims about.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

pub type Outgoing = Request<Full<Bytes>>;

/// Longer than anything here takes; a test that hangs says where instead.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Client(Pool<HttpConnector, Full<Bytes>>);

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub fn new() -> Self {
        Self(Pool::builder(TokioExecutor::new()).build_http())
    }

    /// The answer, or `None` when the gateway went away before it was complete.
    pub async fn try_send(&self, request: Outgoing) -> Option<Answer> {
        bounded(&request.uri().to_string(), self.exchange(request)).await.ok()
    }

    pub async fn send(&self, request: Outgoing) -> Answer {
        let what = format!("{} {}", request.method(), request.uri());
        let answered = bounded(&what, self.exchange(request)).await;
        answered.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    async fn exchange(&self, request: Outgoing) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let (head, body) = self.0.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    pub async fn get(&self, url: &str) -> Answer {
        self.send(request(Method::GET, url, "")).await
    }

    pub async fn post(&self, url: &str, body: impl Into<Bytes>) -> Answer {
        self.send(request(Method::POST, url, body)).await
    }

    pub async fn put(&self, url: &str, body: &Value) -> Answer {
        self.send(request(Method::PUT, url, body.to_string())).await
    }
}

async fn bounded<T>(what: &str, exchange: impl Future<Output = T>) -> T {
    let answered = tokio::time::timeout(PATIENCE, exchange).await;
    answered.unwrap_or_else(|_| panic!("{what}: no answer after {PATIENCE:?}"))
}

pub fn request(method: Method, url: &str, body: impl Into<Bytes>) -> Outgoing {
    Request::builder().method(method).uri(url).body(Full::new(body.into())).unwrap()
}

impl Answer {
    /// This very answer, once its status is what the test claims.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON: {error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The message of an error answer, in the form that all contracts share.
    #[track_caller]
    pub fn error(&self) -> String {
        let document = self.json();
        let message = document["error"].as_str();
        message.unwrap_or_else(|| panic!("no error in {document}")).to_owned()
    }
}
