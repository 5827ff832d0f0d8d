//! gRPC's health protocol. The server as a whole and each of its services are healthy while requests would be
//! served; a model's name may be asked like a service's.
//!
//! `Watch` looks at the catalog again from time to time instead of being told: who watches is a probe, and a
//! probe's own interval is longer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use tidegate_inference::{Admission, Error, ErrorKind, Result, VersionSelector, VersionState};
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::health::health_check_response::ServingStatus;
use tidegate_proto::grpc::health::{HealthCheckRequest, HealthCheckResponse};
use tokio::time::sleep;

use super::method::SERVICES;
use super::questions::read;
use super::reply;
use crate::Ingress;
use crate::infer::Exchange;
use crate::reply::{Piece, Reply};

/// How often a watched status is looked at.
const LOOK: Duration = Duration::from_millis(250);

impl<A: Admission> Ingress<A> {
    pub(super) fn health_check(&self, asked: &HealthCheckRequest) -> Result<Bytes> {
        match self.serving_status(&asked.service) {
            ServingStatus::ServiceUnknown => Err(Error::new(
                ErrorKind::UnknownModel,
                format!("no service or model '{:.64}'", asked.service),
            )),
            status => Ok(message(status)),
        }
    }

    pub(super) async fn health_watch(
        self: &Arc<Self>,
        exchange: Exchange<'_>,
    ) -> Reply<A::Admitted> {
        let asked = match self.question(exchange).await.and_then(read::<HealthCheckRequest>) {
            Ok(asked) => asked,
            Err(error) => return reply::error(&error, self.config.triton_compat),
        };
        let watch = Watch { ingress: Arc::clone(self), service: asked.service, told: None };
        reply::stream(Box::pin(unfold(watch, Watch::next)))
    }

    fn serving_status(&self, service: &str) -> ServingStatus {
        let serving = if service.is_empty() || SERVICES.contains(&service) {
            self.is_ready()
        } else {
            let catalog = self.admission.catalog();
            let Ok((name, model)) = catalog.model(service) else {
                return ServingStatus::ServiceUnknown;
            };
            let selected = model.select(name, &VersionSelector::Weighted);
            !self.drain.is_draining()
                && selected.is_ok_and(|(_, entry)| entry.state == VersionState::Ready)
        };
        if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
    }
}

struct Watch<A: Admission> {
    ingress: Arc<Ingress<A>>,
    service: String,
    told: Option<ServingStatus>,
}

impl<A: Admission> Watch<A> {
    /// The next change. While the server drains the last word is "not serving", and the call ends well.
    async fn next(mut self) -> Option<(Piece<A::Admitted>, Self)> {
        loop {
            let status = self.ingress.serving_status(&self.service);
            if self.told != Some(status) {
                self.told = Some(status);
                return Some((Piece::Chunks(vec![message(status)], None), self));
            }
            if self.ingress.drain.is_draining() {
                return Some((Piece::Trailers(reply::ok_trailers()), self));
            }
            sleep(LOOK).await;
        }
    }
}

fn message(status: ServingStatus) -> Bytes {
    frame(&HealthCheckResponse { status: status.into() })
}
