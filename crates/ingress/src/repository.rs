//! Triton's model repository extension: which models there are, load one, unload one. Anybody may look;
//! to change something has to be allowed, by `data.management`, because whoever reaches this port could.

use bytes::Bytes;
use http::StatusCode;
use tidegate_inference::{Admission, Deadline, Error, ErrorKind, Permit};
use tidegate_proto::{DecodeError, JsonLimits, open_inference};

use crate::Ingress;
use crate::body::{self, BodyBounds, Unreadable};
use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::infer::Exchange;
use crate::reply::{self, Reply};
use crate::route::RepositoryCall;
use crate::service::finish;
use crate::status::Contract;

const CONTRACT: Contract = Contract::OpenInference;

/// Nobody needs more to ask for the index, and anybody may ask.
const MAX_INDEX_BODY: usize = 64 << 10;

impl<A: Admission> Ingress<A> {
    pub(crate) async fn repository(
        &self,
        mut exchange: Exchange<'_>,
        call: RepositoryCall<'_>,
    ) -> Reply<A::Admitted> {
        let reply = match self.repository_answer(&mut exchange, call).await {
            Ok(body) => reply::json(StatusCode::OK, body),
            Err(Unreadable::Failed(failure)) => reply::failure(CONTRACT, failure),
            // Nobody reads this.
            Err(Unreadable::Gone) => {
                let gone = failed(Error::invalid("the request body broke off"));
                reply::failure(CONTRACT, gone)
            }
        };
        finish(exchange, reply).await
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
        self.may_manage().map_err(failed)?;
        let max_bytes = self.config.max_body_size;
        let done = match call {
            RepositoryCall::Index => Ok(()),
            RepositoryCall::Load(model) => {
                let request = self.asked(exchange, max_bytes, open_inference::decode_load).await?;
                self.management.load(model.into_owned(), request).await
            }
            RepositoryCall::Unload(model) => {
                self.asked(exchange, max_bytes, open_inference::decode_unload).await?;
                self.management.unload(model.into_owned()).await
            }
        };
        Ok(done.map(|()| Bytes::new()).map_err(failed)?)
    }

    /// Whether callers of the data port may change what is served.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`]
    pub(crate) fn may_manage(&self) -> Result<(), Error> {
        if self.config.management {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PermissionDenied,
            "models and settings cannot be changed over this port: data.management is off",
        ))
    }

    /// What the body asks for. A permit is held while there is a body, and not while that is done: a load may
    /// take minutes.
    async fn asked<T>(
        &self,
        exchange: &mut Exchange<'_>,
        max_bytes: usize,
        decode: impl FnOnce(&[u8], JsonLimits) -> Result<T, DecodeError>,
    ) -> Result<T, Unreadable> {
        let bounds = BodyBounds {
            max_bytes,
            binary_at: 0,
            received: exchange.received,
            until: Deadline::after(exchange.received, self.config.body_read_timeout),
            contract: CONTRACT,
        };
        let declared = bounds.declared(&exchange.body)?;
        let encoding = Encoding::of(&exchange.parts.headers, CONTRACT)?;
        let mut permit = self.admission.permit(declared.unwrap_or(0)).map_err(failed)?;
        let mut body = body::read(&mut exchange.body, declared, &bounds, &mut permit).await?;
        if let Some(encoding) = encoding {
            let sent = body.len();
            let inflate = move || encoding.inflate(&body, max_bytes);
            body = self.pool.run_aside(inflate).await.map_err(failed)?.map_err(failed)?;
            permit.grow(body.len().saturating_sub(sent)).map_err(failed)?;
        }
        let limits = JsonLimits { max_depth: self.config.max_json_depth };
        let in_body = |error| Failure::in_body(CONTRACT, error);
        Ok(decode(&body, limits).map_err(in_body)?)
    }
}

fn failed(error: Error) -> Failure {
    Failure::of(CONTRACT, error)
}
