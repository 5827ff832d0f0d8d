//! System shared memory over gRPC.

use bytes::Bytes;
use tidegate_inference::{Admission, Result};
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::inference::system_shared_memory_status_response::RegionStatus;
use tidegate_proto::grpc::inference::{
    SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse,
    SystemSharedMemoryStatusRequest, SystemSharedMemoryStatusResponse,
    SystemSharedMemoryUnregisterRequest, SystemSharedMemoryUnregisterResponse,
};
use tidegate_proto::open_inference::SharedRegion;

use crate::Ingress;

impl<A: Admission> Ingress<A> {
    pub(super) fn grpc_memory_status(
        &self,
        asked: &SystemSharedMemoryStatusRequest,
    ) -> Result<Bytes> {
        let regions = self.memory_status(one_or_all(&asked.name))?;
        let status = |region: SharedRegion| {
            let SharedRegion { name, key, offset, byte_size } = region;
            (name.clone(), RegionStatus { name, key, offset, byte_size })
        };
        let regions = regions.into_iter().map(status).collect();
        Ok(frame(&SystemSharedMemoryStatusResponse { regions }))
    }

    pub(super) fn grpc_memory_register(
        &self,
        asked: SystemSharedMemoryRegisterRequest,
    ) -> Result<Bytes> {
        let SystemSharedMemoryRegisterRequest { name, key, offset, byte_size } = asked;
        self.register_memory(SharedRegion { name, key, offset, byte_size })?;
        Ok(frame(&SystemSharedMemoryRegisterResponse {}))
    }

    pub(super) fn grpc_memory_unregister(
        &self,
        asked: &SystemSharedMemoryUnregisterRequest,
    ) -> Bytes {
        self.unregister_memory(one_or_all(&asked.name));
        frame(&SystemSharedMemoryUnregisterResponse {})
    }
}

fn one_or_all(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}
