//! The baseline "what HTTP can do": a hyper server with the gateway's allocator and as many threads,
//! which reads the same body, throws it away and answers as many bytes as the gateway does.
//!
//! It runs as a process of its own so that its CPU time can be told from the client's. Its first
//! line on stdout is its address, and it ends when its stdin does: with whoever started it, however
//! that one ends.

use std::convert::Infallible;
use std::io::Write;
use std::num::NonZeroUsize;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Result;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Bytes of every answer's body
    #[arg(long)]
    answer_size: usize,
    /// Threads that serve
    #[arg(long)]
    threads: NonZeroUsize,
}

pub fn run(options: Options) -> Result<()> {
    std::thread::spawn(|| {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(i32::from(ended.is_err()));
    });
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads.get())
        .enable_all()
        .build()?;
    threads.block_on(serve(Bytes::from(vec![b' '; options.answer_size])))
}

async fn serve(answer: Bytes) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        let service = service_fn(move |request| reply(request, answer.clone()));
        // A client that hangs up is how every connection here ends.
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn reply(
    mut request: Request<Incoming>,
    answer: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A frame that is an error is the last one; hyper then closes the connection by itself.
    while let Some(Ok(_)) = request.body_mut().frame().await {}
    let mut response = Response::new(Full::new(answer));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}
