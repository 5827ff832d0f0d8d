//! The shared memory extension's calls over HTTP.

use bytes::Bytes;
use tidegate_inference::Admission;
use tidegate_proto::open_inference;

use super::no_cuda_memory;
use crate::Ingress;
use crate::body::Unreadable;
use crate::infer::Exchange;
use crate::question::{self, failed};
use crate::reply::Reply;
use crate::route::{MemoryCall, MemoryKind};
use crate::service::finish;

/// A name, a key and two numbers.
const MAX_BODY: usize = 64 << 10;

impl<A: Admission> Ingress<A> {
    pub(crate) async fn shared_memory(
        &self,
        mut exchange: Exchange<'_>,
        kind: MemoryKind,
        call: MemoryCall<'_>,
    ) -> Reply<A::Admitted> {
        let answer = match kind {
            MemoryKind::System => self.system_memory(&mut exchange, call).await,
            MemoryKind::Cuda => cuda_memory(&call),
        };
        finish(exchange, question::reply(answer)).await
    }

    async fn system_memory(
        &self,
        exchange: &mut Exchange<'_>,
        call: MemoryCall<'_>,
    ) -> Result<Bytes, Unreadable> {
        match call {
            MemoryCall::Status(name) => {
                let regions = self.memory_status(name.as_deref()).map_err(failed)?;
                Ok(open_inference::memory_status(&regions))
            }
            MemoryCall::Register(name) => {
                let decode =
                    |body: &[u8], _| open_inference::decode_registration(name.into_owned(), body);
                let region = self.asked(exchange, MAX_BODY, decode).await?;
                self.register_memory(region).map_err(failed)?;
                Ok(Bytes::new())
            }
            MemoryCall::Unregister(name) => {
                self.unregister_memory(name.as_deref());
                Ok(Bytes::new())
            }
        }
    }
}

fn cuda_memory(call: &MemoryCall<'_>) -> Result<Bytes, Unreadable> {
    match call {
        MemoryCall::Status(_) => Ok(open_inference::memory_status(&[])),
        MemoryCall::Register(_) => Err(failed(no_cuda_memory()).into()),
        MemoryCall::Unregister(_) => Ok(Bytes::new()),
    }
}
