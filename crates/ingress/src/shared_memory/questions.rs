//! Registering, unregistering and asking for regions, the same over HTTP and gRPC. CUDA memory is understood and
//! not offered: there is none to be listed, and none to be forgotten.

use tidegate_inference::{Admission, Error, ErrorKind, Result};
use tidegate_proto::open_inference::SharedRegion;

use super::SharedMemory;
use crate::Ingress;

impl<A: Admission> Ingress<A> {
    pub(crate) fn register_memory(&self, region: SharedRegion) -> Result<()> {
        match &self.shared_memory {
            Some(memory) => memory.register(region),
            None => Err(Error::new(
                ErrorKind::Unimplemented,
                "shared memory is not offered here: the server's configuration names no shared_memory.path",
            )),
        }
    }

    /// Where nothing can be registered, nothing has to be unregistered.
    pub(crate) fn unregister_memory(&self, name: Option<&str>) {
        if let Some(memory) = &self.shared_memory {
            memory.unregister(name);
        }
    }

    pub(crate) fn memory_status(&self, name: Option<&str>) -> Result<Vec<SharedRegion>> {
        match (&self.shared_memory, name) {
            (Some(memory), name) => SharedMemory::status(memory, name),
            (None, None) => Ok(Vec::new()),
            (None, Some(name)) => Err(super::unknown(name)),
        }
    }
}

/// For every attempt to register some.
pub fn no_cuda_memory() -> Error {
    Error::new(ErrorKind::Unimplemented, "CUDA shared memory is not offered")
}
