//! One connection of gRPC: tonic's unary call on hyper's HTTP/2, for every path. Messages are bytes that nobody reads, so
//! what is measured is HTTP/2, framing and tonic, without protobuf.

use std::convert::Infallible;
use std::future::{Ready, ready};

use bytes::{Buf, BufMut, Bytes};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};

pub(super) async fn connection(stream: TcpStream, answer: Bytes) -> hyper::Result<()> {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let reply = Reply(answer.clone());
        async move {
            let mut grpc = Grpc::new(Plain).max_decoding_message_size(usize::MAX);
            Ok::<_, Infallible>(grpc.unary(reply, request).await)
        }
    });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
}

struct Reply(Bytes);

impl UnaryService<()> for Reply {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

/// Throws away what comes, and copies what goes, as a real encoder does.
#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        message.advance(message.remaining());
        Ok(Some(()))
    }
}
