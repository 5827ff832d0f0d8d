//! Triton's model repository extension: which models there are, load one, unload one. Whoever may ask for predictions
//! may look; to change something has to be allowed, by `data.management`, and where there are API keys by the scope
//! `admin`.

use std::fmt;

use bytes::Bytes;
use tidegate_credentials::{Caller, Scope};
use tidegate_inference::{Admission, Error, ErrorKind};
use tidegate_proto::open_inference;

use crate::Ingress;
use crate::body::Unreadable;
use crate::infer::Exchange;
use crate::question::{self, failed};
use crate::reply::Reply;
use crate::route::RepositoryCall;
use crate::service::finish;

/// Nobody needs more to ask for the index, and anybody may ask.
const MAX_INDEX_BODY: usize = 64 << 10;

impl<A: Admission> Ingress<A> {
    pub(crate) async fn repository(
        &self,
        mut exchange: Exchange<'_>,
        call: RepositoryCall<'_>,
    ) -> Reply<A::Admitted> {
        let answer = self.repository_answer(&mut exchange, call).await;
        finish(exchange, question::reply(answer)).await
    }

    /// Success is an answer without a body, but for the index.
    async fn repository_answer(
        &self,
        exchange: &mut Exchange<'_>,
        call: RepositoryCall<'_>,
    ) -> Result<Bytes, Unreadable> {
        if call == RepositoryCall::Index {
            let decode = open_inference::decode_index;
            let only_ready = self.asked(exchange, MAX_INDEX_BODY, decode).await?;
            return Ok(open_inference::index(&self.admission.catalog(), only_ready));
        }
        let caller = exchange.caller;
        let max_bytes = self.config.max_body_size;
        let done = match call {
            RepositoryCall::Index => Ok(()),
            RepositoryCall::Load(model) => {
                self.may_manage(caller, format_args!("load of {model:.64}")).map_err(failed)?;
                let request = self.asked(exchange, max_bytes, open_inference::decode_load).await?;
                self.management.load(model.into_owned(), request).await
            }
            RepositoryCall::Unload(model) => {
                self.may_manage(caller, format_args!("unload of {model:.64}")).map_err(failed)?;
                self.asked(exchange, max_bytes, open_inference::decode_unload).await?;
                self.management.unload(model.into_owned()).await
            }
        };
        Ok(done.map(|()| Bytes::new()).map_err(failed)?)
    }

    /// Whether this caller of the data port may change what is served; that it asks to is told.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`]
    pub(crate) fn may_manage(
        &self,
        caller: Option<&Caller>,
        what: impl fmt::Display,
    ) -> Result<(), Error> {
        if !self.config.management {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "models and settings cannot be changed over this port: data.management is off",
            ));
        }
        let Some(caller) = caller else { return Ok(()) };
        caller.must_have(Scope::Admin)?;
        tracing::info!(by = caller.name(), %what, "a change was asked for");
        Ok(())
    }
}
