//! One HTTP request, from the parsed head to the finished answer: finds the endpoint, lets the caller in, and
//! adds what every answer carries. A handler that panics is answered for: 500, and the rest lives on.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::header::{ALLOW, CONNECTION};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode, Version};
use hyper::body::Incoming;
use tidegate_inference::{Admission, Error, ErrorKind, VersionSelector};

use crate::Ingress;
use crate::activity::Activity;
use crate::body;
use crate::door::Asked;
use crate::failure::Failure;
use crate::format::Format;
use crate::infer::Exchange;
use crate::reply::{self, Reply};
use crate::request_id::{self, RequestId};
use crate::route::{Endpoint, NoRoute, Target};
use crate::status::Contract;

impl<A: Admission> Ingress<A> {
    pub(crate) async fn respond(
        self: &Arc<Self>,
        activity: &Arc<Activity>,
        request: Request<Incoming>,
    ) -> Reply<A::Admitted> {
        let received = Instant::now();
        let in_flight = activity.begin(request.version() >= Version::HTTP_2);
        let (parts, body) = request.into_parts();
        let request_id = self.request_ids.of(&parts.headers);
        let exchange = Exchange {
            parts: &parts,
            body,
            activity,
            request_id: &request_id,
            received,
            caller: None,
        };
        let answered = unwinding(pin!(self.dispatch(exchange))).await;
        let mut reply = answered.unwrap_or_else(|| panicked(&parts, &request_id));
        reply.headers_mut().insert(request_id::HEADER, request_id.into_header());
        // Its connection may not have heard yet, and the caller should not send another one.
        if parts.version < Version::HTTP_2 && self.drain.is_draining() {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply.body_mut().hold_connection(in_flight);
        reply
    }

    async fn dispatch(self: &Arc<Self>, exchange: Exchange<'_>) -> Reply<A::Admitted> {
        let parts = exchange.parts;
        if head_size(parts) > self.config.max_header_size {
            let message = format!("request head exceeds {} bytes", self.config.max_header_size);
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return finish(exchange, reply::error(Contract::Plain, status, &message)).await;
        }
        let asked = Asked::of(parts);
        let caller = match self.let_in(parts, &asked) {
            Ok(caller) => caller,
            Err(refused) => return Box::pin(self.keep_out(exchange, asked, refused)).await,
        };
        let exchange = Exchange { caller: caller.as_ref(), ..exchange };
        let endpoint = match asked {
            Asked::Grpc(method) => return Box::pin(self.grpc(exchange, method)).await,
            Asked::Http(Ok(endpoint)) => endpoint,
            Asked::Http(Err(no_route)) => return finish(exchange, unrouted(no_route)).await,
        };
        let reply = match endpoint {
            Endpoint::Infer(target) => return self.open_inference(exchange, target).await,
            Endpoint::TfsPredict(target) => {
                return self.infer(exchange, Format::TensorFlow, target).await;
            }
            Endpoint::Predict => return self.predict(exchange).await,
            Endpoint::SharedMemory(kind, call) => {
                return Box::pin(self.shared_memory(exchange, kind, call)).await;
            }
            Endpoint::Settings(call) => return Box::pin(self.settings(exchange, call)).await,
            Endpoint::Repository(call) => return Box::pin(self.repository(exchange, call)).await,
            Endpoint::Metrics => Box::pin(self.metrics()).await,
            Endpoint::Live => self.live(),
            Endpoint::Ready => self.ready(),
            Endpoint::ServerMetadata => self.server_metadata(),
            Endpoint::ModelList => self.model_list(),
            Endpoint::OpenApi => self.openapi(),
            Endpoint::ModelMetadata(target) => self.model_metadata(&target),
            Endpoint::ModelReady(target) => self.model_ready(&target),
            Endpoint::Statistics(target) => self.model_statistics(target.as_ref()),
            Endpoint::ModelConfig(target) => self.model_config(&target),
            Endpoint::TfsStatus(target) => self.tensorflow_status(&target),
            Endpoint::TfsMetadata(target) => self.tensorflow_metadata(&target),
            Endpoint::TfsOther(verb) => self.tensorflow_other(verb),
            Endpoint::TfsOptions => self.tensorflow_options(&parts.headers),
        };
        finish(exchange, reply).await
    }

    async fn open_inference(
        &self,
        exchange: Exchange<'_>,
        target: Target<'_>,
    ) -> Reply<A::Admitted> {
        match Format::open_inference(&exchange.parts.headers) {
            Ok(format) => self.infer(exchange, format, target).await,
            Err(failure) => {
                let visit = self.visit(&exchange, "http_v2_binary", Some(&target.model));
                self.turn_away(visit, exchange, Contract::OpenInference, failure).await
            }
        }
    }

    /// `POST /predict` goes to the default model.
    async fn predict(&self, exchange: Exchange<'_>) -> Reply<A::Admitted> {
        let catalog = self.admission.catalog();
        let Some(model) = &catalog.default_model else {
            let error = Error::new(
                ErrorKind::UnknownModel,
                "no default model is configured: name one, or use /v2/models/MODEL/infer",
            );
            let failure = Failure::of(Contract::Plain, error);
            let visit = self.visit(&exchange, Format::Predict.protocol(), None);
            return self.turn_away(visit, exchange, Contract::Plain, failure).await;
        };
        let target = Target { model: model.as_str().into(), selector: VersionSelector::Weighted };
        self.infer(exchange, Format::Predict, target).await
    }
}

/// Ends an exchange that does not care for its body.
pub(crate) async fn finish<P>(exchange: Exchange<'_>, reply: Reply<P>) -> Reply<P> {
    if body::discard(exchange.body, exchange.parts, exchange.activity).await {
        reply
    } else {
        reply::closing(reply)
    }
}

fn unrouted<P>(no_route: NoRoute) -> Reply<P> {
    let mut reply = reply::error(no_route.contract, no_route.status, &no_route.message);
    if let Some(allow) = no_route.allow {
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    reply
}

/// Bytes of the head as HTTP/1 would send it, roughly: hyper has only one limit for heads and bodies'
/// read buffer, and the buffer has to be larger than we want a head to be.
fn head_size(parts: &Parts) -> usize {
    let uri = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let headers = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    uri + headers.sum::<usize>()
}

/// The future's output, or `None` when it panicked. By reference: a future that is passed by value
/// is kept twice, and hyper copies whatever a request's future holds.
async fn unwinding<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    // Unwind-safe: after a panic the future is never polled again, only dropped.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// The panic's own message and place were reported by the panic hook.
fn panicked<P>(parts: &Parts, request_id: &RequestId) -> Reply<P> {
    let path = parts.uri.path();
    tracing::error!(request_id = request_id.as_str(), method = %parts.method, path, "a handler panicked");
    reply::error(
        Contract::Plain,
        StatusCode::INTERNAL_SERVER_ERROR,
        "the gateway failed on this request",
    )
}
