//! A gRPC caller: one HTTP/2 connection, bodies that the test writes piece by piece.

use std::convert::Infallible;

use bytes::Bytes;
use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::StreamExt;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tidegate_proto::grpc::inference::ModelInferRequest;
use tidegate_proto::grpc::{frame, open_inference, unframe};
use tokio::time::timeout;

use crate::client::{PATIENCE, Server};
use crate::mock::tensor;

pub const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
pub const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

pub struct Caller(http2::SendRequest<BoxBody<Bytes, Infallible>>);

/// A call whose head was answered.
pub struct Call {
    /// Dropped, it ends the request's body.
    pub send: Option<UnboundedSender<Bytes>>,
    pub headers: HeaderMap,
    body: Incoming,
    received: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Caller {
    pub async fn to(server: &Server) -> Self {
        let io = TokioIo::new(server.connect().await);
        let handshake = http2::Builder::new(TokioExecutor::new()).handshake(io);
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends the head and these bytes, which are all or not.
    pub fn begin(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> (UnboundedSender<Bytes>, impl Future<Output = Response<Incoming>> + use<>) {
        let (send, pieces) = unbounded();
        send.unbounded_send(body).unwrap();
        let body = StreamBody::new(pieces.map(|bytes| Ok(Frame::data(bytes))));
        let body = BodyExt::boxed(body);
        let mut request = Request::post(format!("http://test{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = self.0.send_request(request.body(body).unwrap());
        (send, async move { timeout(PATIENCE, answered).await.unwrap().unwrap() })
    }

    /// A call whose request stays open.
    pub async fn open(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Call {
        let (send, answered) = self.begin(path, headers, body.into());
        Call::answered(answered.await, Some(send))
    }

    /// A call with one request.
    pub async fn call(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Call {
        let (send, answered) = self.begin(path, headers, body.into());
        drop(send);
        Call::answered(answered.await, None)
    }
}

impl Call {
    fn answered(response: Response<Incoming>, send: Option<UnboundedSender<Bytes>>) -> Self {
        let (head, body) = response.into_parts();
        assert_eq!(head.status, 200, "gRPC says everything else in its trailers");
        Self { send, headers: head.headers, body, received: Vec::new(), trailers: None }
    }

    /// The next message; `None` at the end.
    pub async fn message<M: Message + Default>(&mut self) -> Option<M> {
        loop {
            if let Some(prefix) = self.received.first_chunk::<5>() {
                let length = u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize;
                if self.received.len() >= 5 + length {
                    let message: Vec<u8> = self.received.drain(..5 + length).collect();
                    return Some(unframe(&message.into()).unwrap());
                }
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("it goes on")?.unwrap();
            match frame.into_data() {
                Ok(data) => self.received.extend_from_slice(&data),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
    }

    /// How the call ended: `grpc-status` and `grpc-message`.
    pub async fn status(&mut self) -> (u16, String) {
        while self.trailers.is_none() {
            let Some(frame) = timeout(PATIENCE, self.body.frame()).await.unwrap() else { break };
            self.trailers = frame.unwrap().into_trailers().ok();
        }
        // Without a message there is nothing to follow, and all stands in the head.
        let trailers = self.trailers.as_ref().unwrap_or(&self.headers);
        let text = |name| trailers.get(name).map_or("", |value| value.to_str().unwrap());
        let message = percent_encoding::percent_decode_str(text("grpc-message"));
        (text("grpc-status").parse().unwrap(), message.decode_utf8().unwrap().into_owned())
    }
}

/// A request to `model` with one row of these values.
pub fn request(model: &str, id: &str, values: [f32; 2]) -> ModelInferRequest {
    let inputs = [tensor("x", 1, &values)];
    let request = open_inference::encode_request(model, "", &inputs, &Default::default()).unwrap();
    ModelInferRequest { id: id.to_owned(), ..request }
}

pub fn framed(model: &str) -> Bytes {
    frame(&request(model, "", [1.5, 2.0]))
}
