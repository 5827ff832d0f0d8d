//! What a request asks for, and whether its caller may: the one place where the data port looks at API keys. What needs
//! which scope is listed here for every path and every gRPC method, and what is not listed needs one as well.
//!
//! It is asked once for each request, or call, before a permit is taken or a byte of body is read.

use http::request::Parts;
use tidegate_credentials::{Caller, Refused, Scope};
use tidegate_inference::{Admission, Error, Result};

use crate::Ingress;
use crate::failure::Failure;
use crate::format::Format;
use crate::grpc::{self, Method, Question};
use crate::infer::Exchange;
use crate::reply::{self, Reply};
use crate::route::{Endpoint, NoRoute, RepositoryCall, SettingsCall, contract, route};
use crate::service::finish;
use crate::status::Contract;

/// A request, as far as its head tells.
pub enum Asked<'p> {
    Http(Result<Endpoint<'p>, NoRoute>),
    Grpc(Result<Method>),
}

impl<'p> Asked<'p> {
    pub fn of(parts: &'p Parts) -> Self {
        match grpc::is_grpc(parts) {
            true => Self::Grpc(grpc::find(&parts.method, parts.uri.path())),
            false => Self::Http(route(&parts.method, parts.uri.path())),
        }
    }

    /// What its caller must be allowed to do; `None` where anybody may ask.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Http(Ok(endpoint)) => scope_of(endpoint),
            Self::Grpc(Ok(method)) => scope_of_call(*method),
            // Who has no key is not told what there is.
            Self::Http(Err(_)) | Self::Grpc(Err(_)) => Some(Scope::Predict),
        }
    }
}

fn scope_of(endpoint: &Endpoint<'_>) -> Option<Scope> {
    match endpoint {
        Endpoint::Live | Endpoint::Ready | Endpoint::ModelReady(_) => None,
        // A browser sends no credentials with it, and it gives no right.
        Endpoint::TfsOptions => None,
        Endpoint::Metrics => Some(Scope::Metrics),
        Endpoint::Repository(RepositoryCall::Load(_) | RepositoryCall::Unload(_))
        | Endpoint::Settings(SettingsCall::ChangeLog | SettingsCall::ChangeTrace(_)) => {
            Some(Scope::Admin)
        }
        _ => Some(Scope::Predict),
    }
}

/// Whether settings are changed or looked at stands in the message: `Ingress::may_manage` asks again.
fn scope_of_call(method: Method) -> Option<Scope> {
    match method {
        Method::HealthWatch
        | Method::Question(
            Question::HealthCheck
            | Question::ServerLive
            | Question::ServerReady
            | Question::ModelReady,
        ) => None,
        Method::Question(
            Question::RepositoryLoad | Question::RepositoryUnload | Question::TensorFlowReload,
        ) => Some(Scope::Admin),
        _ => Some(Scope::Predict),
    }
}

impl<A: Admission> Ingress<A> {
    /// Who asks, where that is known.
    pub(crate) fn let_in(
        &self,
        parts: &Parts,
        asked: &Asked<'_>,
    ) -> Result<Option<Caller>, Refused> {
        let Some(door) = &self.door else { return Ok(None) };
        asked.scope().map_or(Ok(None), |scope| door.check(&parts.headers, scope))
    }

    /// Answers somebody who is not let in; of predictions that is told as of any that is refused.
    pub(crate) async fn keep_out(
        &self,
        exchange: Exchange<'_>,
        asked: Asked<'_>,
        refused: Refused,
    ) -> Reply<A::Admitted> {
        let Refused { error, caller } = refused;
        let exchange = Exchange { caller: caller.as_ref(), ..exchange };
        let headers = &exchange.parts.headers;
        let (protocol, contract, target) = match asked {
            Asked::Grpc(method) => return self.keep_call_out(&exchange, method, &error),
            Asked::Http(Ok(Endpoint::Infer(target))) => {
                let format = Format::open_inference(headers);
                let protocol = format.map_or("http_v2_binary", Format::protocol);
                (protocol, Contract::OpenInference, Some(target))
            }
            Asked::Http(Ok(Endpoint::TfsPredict(target))) => {
                let entrypoint = Format::TensorFlow.entrypoint();
                self.refuse_tensorflow(entrypoint, &target.model, &error);
                (Format::TensorFlow.protocol(), Contract::TensorFlow, Some(target))
            }
            Asked::Http(Ok(Endpoint::Predict)) => {
                (Format::Predict.protocol(), Contract::Plain, None)
            }
            Asked::Http(_) => {
                let contract = contract(exchange.parts.uri.path());
                let reply = reply::failure(contract, Failure::of(contract, error));
                return finish(exchange, reply).await;
            }
        };
        let model = target.as_ref().map(|target| &*target.model);
        let visit = self.visit(&exchange, protocol, model);
        self.turn_away(visit, exchange, contract, Failure::of(contract, error)).await
    }

    fn keep_call_out(
        &self,
        exchange: &Exchange<'_>,
        method: Result<Method>,
        error: &Error,
    ) -> Reply<A::Admitted> {
        if let Some(protocol) = method.ok().and_then(Method::prediction) {
            let visit = self.visit(exchange, protocol.name(), None);
            self.grpc_turned_away(visit, error);
        }
        grpc::error(error, self.config.triton_compat)
    }
}
