//! gRPC on the data port: Open Inference with Triton's additions, TensorFlow Serving, health and reflection, told
//! from other HTTP/2 by `content-type: application/grpc`.
//!
//! Messages are framed here and not by a server library, for what an inference request needs and a general server
//! cannot give: a permit before there is memory for a message, inputs and outputs that are not copied, and a
//! permit that lives until the last byte of the answer has left. Reflection, which needs none of that, is
//! `tonic-reflection`'s.

mod health;
mod infer;
mod messages;
mod method;
mod questions;
mod reflection;
mod reply;
mod repository;
mod settings;
mod shared_memory;
mod stream;
mod tensorflow;

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method as HttpMethod, Version};
use tidegate_inference::{Admission, Deadline, Error, ErrorKind, Result};
use tidegate_proto::grpc::open_inference::Within;

pub use method::{Method, Question};
pub use reflection::Reflection;
pub use reply::error;

use crate::Ingress;
use crate::encoding::Encoding;
use crate::infer::Exchange;
use crate::reply::Reply;
use crate::timeout;
use infer::Terms;
use method::Protocol;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Whether a request wants to be answered in gRPC's way.
pub fn is_grpc(parts: &Parts) -> bool {
    let content_type = parts.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let Some(rest) = content_type.and_then(|value| value.strip_prefix(b"application/grpc")) else {
        return false;
    };
    matches!(rest.first(), None | Some(b'+' | b';')) && parts.version >= Version::HTTP_2
}

impl<A: Admission> Ingress<A> {
    pub(crate) async fn grpc(
        self: &Arc<Self>,
        exchange: Exchange<'_>,
        method: Result<Method>,
    ) -> Reply<A::Admitted> {
        let method = match method {
            Ok(method) => method,
            Err(error) => return reply::error(&error, false),
        };
        match method {
            Method::Infer(protocol) => match self.terms(&exchange, protocol, Within::Call) {
                Ok(terms) => self.grpc_infer(exchange, terms).await,
                Err(error) => self.ungrantable(protocol, &error),
            },
            Method::StreamInfer => {
                let protocol = Protocol::OpenInference;
                match self.terms(&exchange, protocol, Within::Stream) {
                    Ok(terms) => self.grpc_stream(exchange, terms),
                    Err(error) => self.ungrantable(protocol, &error),
                }
            }
            Method::Question(question) => self.grpc_question(exchange, question).await,
            Method::HealthWatch => self.health_watch(exchange).await,
            Method::Reflection => self.reflection.answer(exchange).await,
        }
    }

    /// # Errors
    /// A timeout that is none, or a compression that is not known.
    fn terms(&self, exchange: &Exchange<'_>, protocol: Protocol, within: Within) -> Result<Terms> {
        let headers = &exchange.parts.headers;
        let timeout = timeout::in_headers(headers)?;
        Ok(Terms {
            protocol,
            within,
            encoding: encoding(headers)?,
            deadline: timeout.map(|timeout| Deadline::after(exchange.received, timeout)),
            request_id: exchange.request_id.clone(),
            caller: exchange.caller.cloned(),
        })
    }

    fn ungrantable(&self, protocol: Protocol, error: &Error) -> Reply<A::Admitted> {
        self.telemetry.refused(protocol.name(), error.kind());
        let mut reply = reply::error(error, self.config.triton_compat);
        if error.kind() == ErrorKind::Unimplemented {
            reply.headers_mut().insert(ACCEPT_ENCODING, Encoding::FOR_GRPC);
        }
        reply
    }
}

/// What is called.
///
/// # Errors
/// When there is no such method, or it is no way to call one.
pub fn find(method: &HttpMethod, path: &str) -> Result<Method> {
    if method != HttpMethod::POST {
        return Err(Error::invalid(format!("gRPC calls are POST requests, got {method}")));
    }
    Method::of(path).ok_or_else(|| {
        Error::new(ErrorKind::Unimplemented, format!("no gRPC method '{path:.128}' is offered"))
    })
}

/// How compressed messages of this call are compressed.
fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>> {
    let Some(name) = headers.get(ENCODING) else { return Ok(None) };
    let name = name.as_bytes();
    if name == b"identity" {
        return Ok(None);
    }
    Encoding::named(name).map(Some).ok_or_else(|| {
        let shown = String::from_utf8_lossy(name);
        let message =
            format!("grpc-encoding '{shown:.64}' is not supported: send gzip, deflate or identity");
        Error::new(ErrorKind::Unimplemented, message)
    })
}
