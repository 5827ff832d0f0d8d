//! Asks the admin API of a running gateway. One small request at a time, each with a bound on its time.
//!
//! A key comes from a file and never from the command line: arguments can be read by whoever may list processes, and
//! they stay in a shell's history.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thiserror::Error;
use tidegate_credentials::{KeyFileError, ShownKey};

const PATIENCE: Duration = Duration::from_secs(15);
const MAX_ANSWER: usize = 16 << 20;

/// The admin port's address: `http://host:port`, or `host:port` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminUrl(String);

/// Which gateway is asked, and with what.
#[derive(Debug, Args)]
pub struct AdminPort {
    /// The admin port of the gateway
    #[arg(
        long,
        value_name = "URL",
        env = "TIDEGATE_ADMIN",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8502",
        value_parser = AdminUrl::parse
    )]
    admin: AdminUrl,
    /// A file of API keys; its first key is shown, where one is needed
    #[arg(long, value_name = "FILE", env = "TIDEGATE_API_KEY_FILE", hide_env_values = true)]
    api_key_file: Option<PathBuf>,
}

#[derive(Debug)]
pub struct AdminClient {
    url: AdminUrl,
    key: Option<ShownKey>,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Debug)]
pub struct Answer {
    pub etag: String,
    pub document: Value,
}

/// What came, whatever it says.
#[derive(Debug)]
struct Exchanged {
    status: StatusCode,
    etag: Option<String>,
    document: Value,
}

#[derive(Debug, Error)]
pub enum AdminError {
    #[error(
        "no gateway answers on the admin port at {url} ({reason}); is `tidegate serve` running? \
         --admin names another address"
    )]
    Unreachable { url: String, reason: String },
    #[error("{url} did not answer within {} seconds", PATIENCE.as_secs())]
    Slow { url: String },
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
    #[error("{message}; --api-key-file or TIDEGATE_API_KEY_FILE names the file of a key")]
    Unauthenticated { message: String },
    #[error("the API key cannot be used: {0}")]
    Key(#[from] KeyFileError),
    #[error("{url} does not speak Tidegate's admin API: {reason}; is it the admin port?")]
    Strange { url: String, reason: String },
}

impl AdminUrl {
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = url.trim_end_matches('/').to_owned();
        let uri: Uri = url.parse().map_err(|_| expected(text))?;
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
        (plain && uri.host().is_some()).then_some(Self(url)).ok_or_else(|| expected(text))
    }
}

fn expected(text: &str) -> String {
    format!("expected an address such as http://127.0.0.1:8502, got {text:?}")
}

impl AdminPort {
    /// Shows a key, if there is a file of one.
    ///
    /// # Errors
    /// When that file cannot be used.
    pub fn client(&self) -> Result<AdminClient, AdminError> {
        let key = self.api_key_file.as_deref().map(ShownKey::first_of).transpose()?;
        Ok(AdminClient { key, ..self.client_without_key() })
    }

    /// For what needs no key.
    pub fn client_without_key(&self) -> AdminClient {
        let client = Client::builder(TokioExecutor::new()).build_http();
        AdminClient { url: self.admin.clone(), key: None, client }
    }
}

impl AdminClient {
    /// A probe's answer: whether it is well, and the document that says so.
    ///
    /// # Errors
    /// When there is no gateway.
    pub async fn probe(&self, path: &str) -> Result<(bool, Value), AdminError> {
        let Exchanged { status, document, .. } =
            self.ask(Method::GET, path, None, Bytes::new()).await?;
        Ok((status.is_success(), document))
    }

    /// The model's versions, labels, weights, and the tag of what can be changed.
    ///
    /// # Errors
    /// When there is no such model, or no gateway.
    pub async fn model(&self, model: &str) -> Result<Answer, AdminError> {
        self.answer(self.ask(Method::GET, &path(model, ""), None, Bytes::new()).await?)
    }

    /// Replaces the weights, provided that nobody changed them since `etag` was read.
    ///
    /// # Errors
    /// When somebody did, when they are refused, or when there is no gateway.
    pub async fn set_weights(
        &self,
        model: &str,
        weights: &Value,
        etag: &str,
    ) -> Result<Answer, AdminError> {
        let body = Bytes::from(serde_json::json!({ "weights": weights }).to_string());
        self.answer(self.ask(Method::PUT, &path(model, "/weights"), Some(etag), body).await?)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        etag: Option<&str>,
        body: Bytes,
    ) -> Result<Exchanged, AdminError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url.0));
        if let Some(etag) = etag {
            request = request.header(IF_MATCH, etag);
        }
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.authorization());
        }
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.strange(error.to_string()))?;
        tokio::time::timeout(PATIENCE, self.exchange(request))
            .await
            .map_err(|_| AdminError::Slow { url: self.url.0.clone() })?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Exchanged, AdminError> {
        let response = self.client.request(request).await.map_err(|error| {
            AdminError::Unreachable { url: self.url.0.clone(), reason: root_cause(&error) }
        })?;
        let status = response.status();
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.map(str::to_owned);
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| self.strange(error.to_string()))?.to_bytes();
        let document: Value = serde_json::from_slice(&body)
            .map_err(|_| self.strange(format!("status {status} without JSON")))?;
        Ok(Exchanged { status, etag, document })
    }

    fn answer(&self, exchanged: Exchanged) -> Result<Answer, AdminError> {
        let Exchanged { status, etag, document } = exchanged;
        if !status.is_success() {
            let message = match document["error"].as_str() {
                Some(message) => message.to_owned(),
                None => format!("refused with status {status}"),
            };
            return Err(match status {
                StatusCode::UNAUTHORIZED => AdminError::Unauthenticated { message },
                status => AdminError::Refused { status, message },
            });
        }
        let etag = etag.ok_or_else(|| self.strange("an answer without ETag".to_owned()))?;
        Ok(Answer { etag, document })
    }

    pub fn strange(&self, reason: String) -> AdminError {
        AdminError::Strange { url: self.url.0.clone(), reason }
    }
}

fn path(model: &str, rest: &str) -> String {
    format!("/admin/v1/models/{}{rest}", utf8_percent_encode(model, NON_ALPHANUMERIC))
}

/// hyper's own words are "client error (Connect)"; what happened is at the end of the chain.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_the_scheme() {
        let parse = |text| AdminUrl::parse(text).map(|url| url.0);
        assert_eq!(parse("127.0.0.1:8502"), Ok("http://127.0.0.1:8502".to_owned()));
        assert_eq!(parse("http://gateway:8502/"), Ok("http://gateway:8502".to_owned()));
        for bad in ["", "https://gateway:8502", "http://gateway:8502/admin", "a b"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_models_name_cannot_leave_its_place_in_the_path() {
        assert_eq!(path("a/b c", "/weights"), "/admin/v1/models/a%2Fb%20c/weights");
    }
}
