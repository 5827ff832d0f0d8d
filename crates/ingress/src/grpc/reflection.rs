//! Server reflection, for tools that ask a server what it offers: `tonic-reflection` over our own descriptors, in
//! both versions of the protocol.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use tidegate_inference::Error;
use tidegate_proto::grpc::DESCRIPTORS;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic_reflection::server::Builder;

use super::reply::error_trailers;
use crate::infer::Exchange;
use crate::reply::{Piece, Reply, ReplyBody};

type Ask = Box<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

pub struct Reflection {
    v1: Ask,
    v1alpha: Ask,
}

impl Reflection {
    pub fn new() -> Self {
        let builder = || Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
        let ours = "descriptors that were compiled with this program";
        Self {
            v1: ask(builder().build_v1().expect(ours)),
            v1alpha: ask(builder().build_v1alpha().expect(ours)),
        }
    }

    pub async fn answer<P>(&self, exchange: Exchange<'_>) -> Reply<P> {
        let Exchange { parts, body, .. } = exchange;
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        let is_alpha = parts.uri.path().contains("v1alpha");
        let ask = if is_alpha { &self.v1alpha } else { &self.v1 };
        let (head, body) = ask(request).await.into_parts();
        let pieces = unfold(body, async |mut body| {
            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await?;
            Some((piece(frame), body))
        });
        Response::from_parts(head, ReplyBody::live(Box::pin(pieces)))
    }
}

fn ask<S>(service: S) -> Ask
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Box::new(move |request| {
        let answer = service.clone().call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            response
        })
    })
}

fn piece<P>(frame: Result<http_body::Frame<bytes::Bytes>, tonic::Status>) -> Piece<P> {
    let frame = match frame {
        Ok(frame) => frame,
        Err(status) => {
            let error = Error::internal(status.message().to_owned());
            return Piece::Trailers(error_trailers(&error, false));
        }
    };
    match frame.into_data() {
        Ok(data) => Piece::Chunks(vec![data], None),
        Err(frame) => Piece::Trailers(frame.into_trailers().unwrap_or_default()),
    }
}

impl fmt::Debug for Reflection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reflection").finish_non_exhaustive()
    }
}
