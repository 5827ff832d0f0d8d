//! Triton's model repository extension: which models there are, load one, unload one. Anybody may look;
//! to change something has to be allowed, by `data.management`, because whoever reaches this port could.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tidegate_inference::{Admission, Deadline, Error, ErrorKind};
use tidegate_proto::{JsonLimits, open_inference};
use tokio::time::timeout_at;

use crate::Ingress;
use crate::body::BodyBounds;
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
            Err(failure) => reply::failure(CONTRACT, failure),
        };
        finish(exchange, reply).await
    }

    /// Success is an answer without a body, but for the index.
    async fn repository_answer(
        &self,
        exchange: &mut Exchange<'_>,
        call: RepositoryCall<'_>,
    ) -> Result<Bytes, Failure> {
        let limits = JsonLimits { max_depth: self.config.max_json_depth };
        let in_body = |error| Failure::in_body(CONTRACT, error);
        if call == RepositoryCall::Index {
            let body = self.small_body(exchange, MAX_INDEX_BODY).await?;
            let only_ready = open_inference::decode_index(&body, limits).map_err(in_body)?;
            return Ok(open_inference::index(&self.admission.catalog(), only_ready));
        }
        self.may_manage().map_err(|error| Failure::of(CONTRACT, error))?;
        let body = self.small_body(exchange, self.config.max_body_size).await?;
        let done = match call {
            RepositoryCall::Index => Ok(()),
            RepositoryCall::Load(model) => {
                let request = open_inference::decode_load(&body, limits).map_err(in_body)?;
                drop(body);
                self.management.load(model.into_owned(), request).await
            }
            RepositoryCall::Unload(model) => {
                open_inference::decode_unload(&body, limits).map_err(in_body)?;
                self.management.unload(model.into_owned()).await
            }
        };
        done.map(|()| Bytes::new()).map_err(|error| Failure::of(CONTRACT, error))
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

    /// The body of a request that holds no permit: whole, inflated, within its time and so many bytes.
    async fn small_body(
        &self,
        exchange: &mut Exchange<'_>,
        max_bytes: usize,
    ) -> Result<Bytes, Failure> {
        let until = Deadline::after(exchange.received, self.config.body_read_timeout);
        let bounds = BodyBounds {
            max_bytes,
            binary_at: 0,
            received: exchange.received,
            until,
            contract: CONTRACT,
        };
        bounds.declared(&exchange.body)?;
        let encoding = Encoding::of(&exchange.parts.headers, CONTRACT)?;
        let whole = Limited::new(&mut exchange.body, max_bytes).collect();
        let until = tokio::time::Instant::from_std(until.instant());
        let body = match timeout_at(until, whole).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let message = format!("request body exceeds the maximum of {max_bytes} bytes");
                return Err(Failure::of(CONTRACT, Error::new(ErrorKind::TooLarge, message)));
            }
            // Nobody reads this.
            Ok(Err(_)) => {
                let error = Error::invalid("the request body broke off");
                return Err(Failure::of(CONTRACT, error));
            }
            Err(_) => {
                let allowed = self.config.body_read_timeout;
                let message =
                    format!("the request body did not arrive within {allowed:?} of its head");
                let error = Error::new(ErrorKind::DeadlineExceeded, message);
                return Err(Failure::of(CONTRACT, error).with_status(StatusCode::REQUEST_TIMEOUT));
            }
        };
        let Some(encoding) = encoding else { return Ok(body) };
        let inflate = move || encoding.inflate(&body, max_bytes);
        let inflated = self.pool.run_aside(inflate).await.and_then(|inflated| inflated);
        inflated.map_err(|error| Failure::of(CONTRACT, error))
    }
}
