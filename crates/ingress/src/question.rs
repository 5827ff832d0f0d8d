//! Calls of Open Inference's extensions that run no model: what they ask for, read from their bodies, and their
//! answers.

use bytes::Bytes;
use http::{Response, StatusCode};
use tidegate_inference::{Admission, Deadline, Error, Permit};
use tidegate_proto::{DecodeError, JsonLimits};

use crate::Ingress;
use crate::body::{self, BodyBounds, Unreadable};
use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::infer::Exchange;
use crate::reply::{self, Reply, ReplyBody};
use crate::status::Contract;

const CONTRACT: Contract = Contract::OpenInference;

impl<A: Admission> Ingress<A> {
    /// What the body asks for. A permit is held while there is a body, and not while that is done: a load may
    /// take minutes.
    pub(crate) async fn asked<T>(
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
            body = self.inflate(encoding, body, max_bytes).await.map_err(failed)?;
            permit.grow(body.len().saturating_sub(sent)).map_err(failed)?;
        }
        let limits = JsonLimits { max_depth: self.config.max_json_depth };
        let in_body = |error| Failure::in_body(CONTRACT, error);
        Ok(decode(&body, limits).map_err(in_body)?)
    }
}

/// 200 with JSON, or with nothing; or why not.
pub fn reply<P>(answer: Result<Bytes, Unreadable>) -> Reply<P> {
    match answer {
        // Nothing is no JSON, and whoever goes by the content type would try to read it.
        Ok(body) if body.is_empty() => Response::new(ReplyBody::of(body)),
        Ok(body) => reply::json(StatusCode::OK, body),
        Err(Unreadable::Failed(failure)) => reply::failure(CONTRACT, failure),
        // Nobody reads this.
        Err(Unreadable::Gone) => {
            reply::failure(CONTRACT, failed(Error::invalid("the request body broke off")))
        }
    }
}

pub fn failed(error: Error) -> Failure {
    Failure::of(CONTRACT, error)
}
