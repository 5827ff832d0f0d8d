//! The whole house on one page: what is built, and in which order. How it is left is in `running`.
//!
//! The surprising thing: ports are open before the models are loaded, and say "not ready" meanwhile. A
//! probe then gets an answer, and a slow model is not taken for a dead process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tidegate_backend::Backend;
use tidegate_batcher::burst;
use tidegate_control::{AdminServer, ControlConfig, ControlError, ControlPlane, Watch};
use tidegate_credentials::{Follower, KeyFileError};
use tidegate_inference::{Admission, Management};
use tidegate_ingress::{Drain, Ingress, IoThreads, ListenAddress, Listener, Rounds};
use tidegate_router::Router;
use tidegate_telemetry::{AccessLog, GatewayView, Telemetry};
use tokio::net::TcpListener;

use crate::config::Listed;
use crate::doors::Doors;
use crate::every::Every;
use crate::running::{Parts, Running};
use crate::traffic::TrafficFile;
use crate::{Config, running, traffic};

#[derive(Debug)]
pub struct Gateway;

#[derive(Debug, Error)]
pub enum StartError {
    #[error("cannot listen on {address} for {port}: {source}")]
    Bind { port: &'static str, address: ListenAddress, source: io::Error },
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("the API keys cannot be used: {0}")]
    Keys(#[from] KeyFileError),
    #[error("cannot start the thread that loads the models: {0}")]
    Loader(io::Error),
    #[error("cannot start the threads that serve connections: {0}")]
    Threads(io::Error),
}

impl Gateway {
    /// Builds the stack and opens all ports. Models are loaded in the background.
    ///
    /// # Errors
    /// When a port cannot be opened, or the repository, the state or the API keys cannot be used.
    pub async fn start(config: Config, backend: Arc<dyn Backend>) -> Result<Running, StartError> {
        let telemetry = Telemetry::new();
        let doors = Doors::open(config.api_keys.as_ref(), &telemetry)?;
        let router = Router::new(config.limits);
        let control = ControlPlane::open(
            &config.control,
            backend,
            Arc::clone(&router),
            Arc::clone(&telemetry),
        )?;
        let data_listeners = listen(&config.data).await?;
        let listeners: Vec<_> =
            data_listeners.iter().map(|listener| listener.address().clone()).collect();
        let (admin_listener, admin) = listen_for_administration(config.admin_address).await?;

        let threads =
            IoThreads::start(config.worker_threads, bursts()).map_err(StartError::Threads)?;
        let drain = Drain::new();
        let admin_server = AdminServer::new(Arc::clone(&control), Arc::clone(&telemetry), {
            let (drain, control) = (drain.clone(), Arc::clone(&control));
            move || {
                let draining = drain.is_draining().then(|| "the gateway is draining".to_owned());
                draining.or_else(|| control.why_not_ready())
            }
        })
        .behind(doors.admin);
        let catalogs = Arc::clone(&router);
        let (catalogs_of, drain_of) = (Arc::clone(&router), drain.clone());
        telemetry.watch_gateway(move || GatewayView {
            ready: !drain_of.is_draining() && catalogs_of.catalog().ready,
            rows_in_flight: catalogs_of.rows_in_flight(),
        });
        let access_log = AccessLog::new(config.access);
        let management: Arc<dyn Management> = Arc::<ControlPlane>::clone(&control);
        let ingress = Ingress::new(
            config.ingress,
            router,
            management,
            telemetry,
            access_log,
            doors.data,
            drain.clone(),
        );
        let loader = thread::Builder::new()
            .name("tidegate-loader".to_owned())
            .spawn({
                let (control, drain) = (Arc::clone(&control), drain.clone());
                move || load(&control, &catalogs, &drain)
            })
            .map_err(StartError::Loader)?;
        let followers = follow(&config.control, config.poll_interval, doors.follower, &control)
            .map_err(StartError::Loader)?;
        let admin_leaves = Drain::new();
        let running = Running::new(Parts {
            listeners,
            admin,
            ingress: running::serve_data(ingress, data_listeners, threads, drain.clone()),
            admin_server: running::serve_admin(
                admin_server,
                admin_listener,
                admin_leaves.clone(),
                drain.clone(),
            ),
            control,
            loader,
            followers,
            drain,
            admin_leaves,
            grace_period: config.grace_period,
        });
        let data = running.data().map(tracing::field::display);
        tracing::info!(data, %admin, listeners = %Listed(&running.listeners), "listening");
        Ok(running)
    }
}

/// Requests that a thread reads in one round ring for their workers when the round is over.
fn bursts() -> Rounds {
    Rounds { begin: Arc::new(burst::postpone), end: burst::ring }
}

/// What may change while it serves.
fn follow(
    config: &ControlConfig,
    poll_interval: Option<Duration>,
    keys: Option<Follower>,
    control: &Arc<ControlPlane>,
) -> io::Result<Vec<Every>> {
    let mut followers = Vec::new();
    if let Some(mut keys) = keys {
        followers.push(Every::start("tidegate-keys", Follower::PAUSE, move || keys.look())?);
    }
    if let Some(path) = &config.traffic_file {
        let (mut file, control) = (TrafficFile::at(path.clone()), Arc::clone(control));
        let look = move || file.look(&control);
        followers.push(Every::start("tidegate-traffic", traffic::PAUSE, look)?);
    }
    if let Some(interval) = poll_interval {
        let (mut watch, control) = (Watch::default(), Arc::clone(control));
        let look = move || control.look_again(&mut watch);
        followers.push(Every::start("tidegate-watch", interval, look)?);
    }
    Ok(followers)
}

/// Tries every version, and tells how that ended.
fn load(control: &ControlPlane, router: &Router, drain: &Drain) {
    control.load_all();
    if router.catalog().ready {
        tracing::info!("ready");
    } else if !drain.is_draining() {
        let reason = control.why_not_ready();
        tracing::error!(reason, "not ready");
    }
}

/// All or none: those that were bound are closed again when one fails.
async fn listen(addresses: &[ListenAddress]) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let bound = Listener::bind(address).await;
        listeners.push(bound.map_err(|source| cannot_bind("predictions", address, source))?);
    }
    Ok(listeners)
}

async fn listen_for_administration(
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).await.and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| cannot_bind("administration", &address.into(), source))
}

fn cannot_bind(port: &'static str, address: &ListenAddress, source: io::Error) -> StartError {
    StartError::Bind { port, address: address.clone(), source }
}
