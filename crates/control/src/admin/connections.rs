//! Accepts the admin port's connections and lets them go.
//!
//! `axum::serve` would do, but for one thing: it sets no timer, so a caller that never ends its request's
//! head keeps its connection for good, and holds up the end.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// For a request's head, and so for an idle connection too.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long requests inside may still take once the server was told to end: a change waits for a
/// disk, a scrape for its reader.
const LEAVING: Duration = Duration::from_secs(5);
/// After a failed accept, most likely for want of file descriptors: trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub async fn serve(listener: TcpListener, routes: Router, shutdown: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "the admin port cannot accept connections; trying again shortly");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(routes.clone().layer(Extension(ConnectInfo(peer))));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%peer, %error, "admin connection ended");
            }
        });
    }
    drop(listener);
    if timeout(LEAVING, connections.shutdown()).await.is_err() {
        warn!("admin requests were still unanswered and are given up");
    }
}
