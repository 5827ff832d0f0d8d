//! The baseline "what the wire can do": a server that reads the same body, throws it away and answers the same bytes, over
//! HTTP/1.1 on hyper alone or over gRPC on tonic. There is no model, no queue and no reading of formats behind it, but for
//! the one mode that parses and writes JSON.
//!
//! It runs as a process of its own so that its CPU time can be told from the generator's. It is given its answer on stdin,
//! says its address in its first line on stdout, and ends when its stdin does: with whoever started it, however that one
//! ends.

mod grpc;
mod http;
mod json;
mod process;

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;
pub use process::Bare;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What it speaks
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Bytes of every answer, which are read from stdin
    #[arg(long)]
    answer_size: usize,
    /// Threads that serve
    #[arg(long)]
    threads: NonZeroUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// HTTP/1.1, on hyper
    Http,
    /// The same, with the Open Inference Protocol's JSON parsed and written by serde_json
    Json,
    /// gRPC over HTTP/2 without TLS, on tonic
    Grpc,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Json => "json",
            Self::Grpc => "grpc",
        }
    }
}

/// Serves until stdin ends.
///
/// # Errors
/// When stdin is shorter than it should be, or no port can be had.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut answer = vec![0; arguments.answer_size];
    std::io::stdin()
        .read_exact(&mut answer)
        .map_err(|error| Failure::from(error).within("the answer on stdin"))?;
    std::thread::spawn(|| {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(i32::from(ended.is_err()));
    });
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.threads.get())
        .enable_all()
        .build()?;
    threads.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        serve(listener, arguments.protocol, answer.into()).await
    })
}

/// Serves until the future is dropped.
async fn serve(
    listener: TcpListener,
    protocol: Protocol,
    answer: Bytes,
) -> Result<ExitCode, Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, protocol, answer.clone()));
    }
}

async fn connection(stream: TcpStream, protocol: Protocol, answer: Bytes) {
    // An error is a client that hung up, which is how every connection here ends.
    match protocol {
        Protocol::Http => drop(http::connection(stream, answer).await),
        Protocol::Json => drop(json::connection(stream, answer).await),
        Protocol::Grpc => drop(grpc::connection(stream, answer).await),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::http::Method;
    use tidegate_inference::{DataType, Shape, Tensor, TensorData};

    use super::*;
    use crate::ceiling::question::Conversation;
    use crate::engine::once;
    use crate::load::{Endpoint, Transport};
    use crate::question::Ending;

    /// One exchange with a server in this process, whose answer is cut by so many bytes.
    fn ending(protocol: Protocol, transport: Transport, cut: usize) -> Ending {
        let data = TensorData::Fixed(Bytes::from(vec![7; 100_000]));
        let x = [Tensor::new("x", DataType::Uint8, Shape::new(&[1, 100_000]), data).unwrap()];
        let Conversation { exchange, answer } = Conversation::new(protocol, &x, &x).unwrap();
        let threads = tokio::runtime::Runtime::new().unwrap();
        let listener = threads.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let endpoint = Endpoint::tcp(listener.local_addr().unwrap());
        threads.spawn(serve(listener, protocol, answer.slice(cut..)));
        let (question, patience) = (&exchange.question, Duration::from_secs(30));
        let answer = once(&endpoint, transport, Method::POST, &question.request, patience);
        exchange.wire.judge(question, &answer.unwrap()).ending
    }

    #[test]
    fn every_protocol_is_answered_as_its_clients_expect() {
        assert_eq!(ending(Protocol::Http, Transport::Http1, 0), Ending::Right);
        assert_eq!(ending(Protocol::Json, Transport::Http1, 0), Ending::Right);
        let http2 = Transport::Http2 { streams: 4 };
        assert_eq!(ending(Protocol::Grpc, http2, 0), Ending::Right);
    }

    #[test]
    fn an_answer_of_another_length_is_noticed() {
        assert_eq!(ending(Protocol::Http, Transport::Http1, 1), Ending::Wrong);
        let http2 = Transport::Http2 { streams: 4 };
        assert_eq!(ending(Protocol::Grpc, http2, 1), Ending::Wrong);
    }
}
