//! A gateway that serves, and how it leaves: first the data port, then the workers, last the admin port,
//! so that probes and metrics tell the truth until the end.
//!
//! Workers are joined before the process may end: ONNX Runtime crashes when `main` returns during a run.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::every::Every;
use tidegate_control::{AdminServer, ControlPlane};
use tidegate_ingress::{Drain, Ingress, IoThreads, ListenAddress, Listener};
use tidegate_router::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the workers may take to end once nobody waits for them any more.
const LAST_RUN: Duration = Duration::from_secs(5);

/// Dropped without [`Running::stop`], it serves on until the async runtime ends.
pub struct Running {
    /// Of the data port, as they were bound.
    pub listeners: Vec<ListenAddress>,
    pub admin: SocketAddr,
    parts: Parts,
    /// Whether everybody was answered, once that is decided.
    answered: Option<bool>,
}

/// What has to be ended, and by which means.
pub(crate) struct Parts {
    pub listeners: Vec<ListenAddress>,
    pub admin: SocketAddr,
    pub ingress: JoinHandle<()>,
    pub admin_server: JoinHandle<()>,
    pub control: Arc<ControlPlane>,
    pub loader: thread::JoinHandle<()>,
    /// What is looked at again and again.
    pub followers: Vec<Every>,
    /// The gateway is leaving.
    pub drain: Drain,
    /// The admin port is leaving, which is later.
    pub admin_leaves: Drain,
    pub grace_period: Duration,
}

/// How the leaving went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered, every worker has ended.
    Drained,
    /// The grace period ran out and requests were cut off; every worker has ended.
    CutOff,
    /// A worker is still inside the engine: the process must end without the engine's own clean-up.
    WorkerInside,
}

impl Running {
    pub(crate) fn new(parts: Parts) -> Self {
        let listeners = parts.listeners.clone();
        Self { listeners, admin: parts.admin, parts, answered: None }
    }

    /// The first TCP address of the data port, if it has one.
    pub fn data(&self) -> Option<SocketAddr> {
        self.listeners.iter().find_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        })
    }

    /// Waits until a port has failed for good. Ordinarily that is never.
    pub async fn failed(&self) {
        self.parts.drain.begun().await;
    }

    /// The first half of [`Running::stop`]: readiness off, then requests in flight may end. Says whether
    /// all of them did, within the grace period.
    pub async fn drain(&mut self) -> bool {
        if let Some(answered) = self.answered {
            return answered;
        }
        self.parts.drain.begin();
        let grace_period = self.parts.grace_period;
        let answered = timeout(grace_period, &mut self.parts.ingress).await.is_ok();
        if !answered {
            tracing::error!(
                grace_period_ms = grace_period.as_secs_f64() * 1e3,
                "the grace period ran out: requests that are still inside are cut off"
            );
            self.parts.ingress.abort();
        }
        *self.answered.insert(answered)
    }

    /// Drains, then joins the workers, which may take a few seconds more for what is inside the engine.
    pub async fn stop(mut self) -> Stopped {
        let answered = self.drain().await;
        let Parts { mut admin_server, control, loader, followers, .. } = self.parts;
        let followers: Vec<_> = followers.into_iter().map(Every::stop).collect();
        let workers = tokio::task::spawn_blocking(move || {
            let stuck = control.shutdown();
            // They end by themselves once shutdown was announced, after the version they are loading. A panic
            // in there was reported when it happened.
            for thread in followers.into_iter().chain([loader]) {
                let _ = thread.join();
            }
            stuck
        });
        let stuck = timeout(LAST_RUN, workers).await;
        let joined = matches!(stuck, Ok(Ok(0)));
        self.parts.admin_leaves.begin();
        if timeout(LAST_RUN, &mut admin_server).await.is_err() {
            admin_server.abort();
        }
        match (joined, answered) {
            (true, true) => Stopped::Drained,
            (true, false) => Stopped::CutOff,
            (false, _) => Stopped::WorkerInside,
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("listeners", &self.listeners)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

pub(crate) fn serve_data(
    ingress: Arc<Ingress<Router>>,
    listeners: Vec<Listener>,
    threads: IoThreads,
    drain: Drain,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        ingress.serve(listeners, threads).await;
        if !drain.is_draining() {
            tracing::error!("the data port has failed: leaving");
            drain.begin();
        }
    })
}

pub(crate) fn serve_admin(
    server: AdminServer,
    listener: TcpListener,
    leaves: Drain,
    drain: Drain,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let leaving = {
            let leaves = leaves.clone();
            async move { leaves.begun().await }
        };
        server.serve(listener, leaving).await;
        if !leaves.is_draining() {
            tracing::error!("the admin port has failed: leaving");
            drain.begin();
        }
    })
}
