//! One connection of HTTP/1.1 on hyper, with the cost of JSON: every request is parsed into its tensors, every answer
//! written from its own, both by serde_json. What a request asks for is not looked at.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

pub(super) async fn connection(stream: TcpStream, answer: Bytes) -> hyper::Result<()> {
    // An answer that is not of this form is sent as it is.
    let parsed = serde_json::from_slice::<Answer>(&answer).ok();
    let written = parsed.as_ref().and_then(|parsed| serde_json::to_vec(parsed).ok());
    // Only if it is written as it was read does it cost the client as much to judge.
    let parsed = parsed.filter(|_| written.is_some_and(|bytes| bytes.len() == answer.len()));
    let model = Arc::new(Model { answer, parsed });
    let service = service_fn(move |request| reply(request, Arc::clone(&model)));
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
}

struct Model {
    answer: Bytes,
    parsed: Option<Answer>,
}

#[derive(Deserialize)]
struct Question {
    inputs: Vec<Tensor>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    model_name: String,
    model_version: String,
    outputs: Vec<Tensor>,
}

#[derive(Serialize, Deserialize)]
struct Tensor {
    name: String,
    datatype: String,
    shape: Vec<u64>,
    data: Vec<f32>,
}

async fn reply(
    mut request: Request<Incoming>,
    model: Arc<Model>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.body_mut().collect().await {
        Ok(body) => body.to_bytes(),
        // hyper closes the connection by itself.
        Err(_) => Bytes::new(),
    };
    let question = serde_json::from_slice::<Question>(&body);
    let mut response = match question {
        Ok(Question { inputs }) if !inputs.is_empty() => {
            let written = model.parsed.as_ref().and_then(|parsed| serde_json::to_vec(parsed).ok());
            Response::new(Full::new(written.map_or_else(|| model.answer.clone(), Bytes::from)))
        }
        Ok(_) | Err(_) => {
            let mut refusal = Response::new(Full::new(Bytes::new()));
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            refusal
        }
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
