//! What stands between clients and gateways in a cluster: addresses that may change, and a readiness probe that takes
//! a gateway in and out of the rotation.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::process::is_ready;
use crate::load::{Dial, Dialing, Endpoint};

/// Between two probes of one gateway.
const PROBE: Duration = Duration::from_millis(100);

/// Where a gateway can be found now: after a restart, somewhere else.
#[derive(Clone)]
pub struct Place(Arc<RwLock<SocketAddr>>);

/// A gateway as clients see it, held by its probe and by its actions.
#[derive(Clone)]
pub struct Member {
    pub place: Place,
    /// The same in every load.
    pub endpoint: Endpoint,
    /// Out of the rotation whatever its probe says, as a pod that is about to be ended.
    withdrawn: Arc<AtomicBool>,
}

impl Place {
    fn new(address: SocketAddr) -> Self {
        Self(Arc::new(RwLock::new(address)))
    }

    pub fn address(&self) -> SocketAddr {
        // An address is whole, whoever panicked.
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn move_to(&self, address: SocketAddr) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

impl Dial for Place {
    fn dial(&self) -> Dialing {
        Endpoint::tcp(self.address()).dial.dial()
    }
}

impl Member {
    pub fn at(address: SocketAddr) -> Self {
        let place = Place::new(address);
        let endpoint = Endpoint::new(address.to_string(), Arc::new(place.clone()));
        Self { place, endpoint, withdrawn: Arc::default() }
    }

    /// Out of the rotation until [`Member::offer`].
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
        self.endpoint.set_ready(false);
    }

    /// Its probe decides again.
    pub fn offer(&self) {
        self.withdrawn.store(false, Ordering::Relaxed);
    }

    /// Probes until `stop` says so or is dropped.
    pub fn watch(&self, stop: &Receiver<()>) {
        while stop.recv_timeout(PROBE) == Err(RecvTimeoutError::Timeout) {
            let ready = is_ready(self.place.address());
            // Relaxed: a hint. At worst one connection is opened that is refused.
            self.endpoint.set_ready(ready && !self.withdrawn.load(Ordering::Relaxed));
        }
    }
}
