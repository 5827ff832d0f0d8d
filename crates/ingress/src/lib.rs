//! Accepts HTTP and gRPC on the data port; bytes to requests, responses and errors to bytes; drains.
//!
//! It knows wire formats (through `tidegate-proto`) and statuses, and no route: behind it stands any
//! [`Admission`], and any [`Management`] for those who may change what is served. Limits on size, time and number are kept here, before
//! anybody behind has to care.
//!
//! One request: [`route`] finds the endpoint, `door` lets its caller in, `infer` walks it through admission, body, decode, inference and
//! encode, and the permit leaves with the last byte of the answer (`reply`). gRPC has a walk of its own (`grpc`),
//! because there the model's name stands inside the body; from the decoded request on both are the same.

mod activity;
mod ascii;
mod body;
mod config;
mod connection;
mod decode_pool;
mod door;
mod drain;
mod encoding;
mod failure;
mod format;
mod grpc;
mod infer;
mod io_threads;
mod listen;
mod mailbox;
mod metadata;
mod metrics;
mod model_config;
mod openapi;
mod question;
mod reply;
mod repository;
mod request_id;
pub mod route;
mod server;
mod server_timing;
mod service;
mod settings;
mod shared_memory;
mod socket;
mod statistics;
pub mod status;
mod stream;
mod tensorflow;
mod timeout;
mod visit;

use std::fmt;
use std::sync::Arc;

use tidegate_credentials::Door;
use tidegate_inference::{Admission, Management};
use tidegate_telemetry::{AccessLog, Telemetry};

pub use config::IngressConfig;
pub use drain::Drain;
pub use io_threads::{IoThreads, Rounds};
pub use listen::{ListenAddress, Listener};

use crate::connection::Http;
use crate::decode_pool::DecodePool;
use crate::grpc::Reflection;
use crate::request_id::RequestIds;
use crate::shared_memory::SharedMemory;

/// The data port's server.
pub struct Ingress<A> {
    config: IngressConfig,
    admission: Arc<A>,
    management: Arc<dyn Management>,
    telemetry: Arc<Telemetry>,
    access: AccessLog,
    /// Where callers need a key.
    door: Option<Door>,
    drain: Drain,
    pool: DecodePool,
    request_ids: RequestIds,
    http: Http,
    reflection: Reflection,
    shared_memory: Option<Arc<SharedMemory>>,
}

impl<A: Admission> Ingress<A> {
    pub fn new(
        config: IngressConfig,
        admission: Arc<A>,
        management: Arc<dyn Management>,
        telemetry: Arc<Telemetry>,
        access: AccessLog,
        door: Option<Door>,
        drain: Drain,
    ) -> Arc<Self> {
        Arc::new(Self {
            pool: DecodePool::new(config.decode_threads),
            request_ids: RequestIds::new(),
            http: connection::http(&config),
            reflection: Reflection::new(),
            shared_memory: config
                .shared_memory
                .clone()
                .map(|directory| Arc::new(SharedMemory::new(directory, config.max_body_size))),
            config,
            admission,
            management,
            telemetry,
            access,
            door,
            drain,
        })
    }
}

impl<A> fmt::Debug for Ingress<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingress").field("config", &self.config).finish_non_exhaustive()
    }
}
