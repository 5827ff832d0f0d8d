//! The scrape on the data port, where Triton's and TensorFlow Serving's scrapers look for it: one page for all of
//! them, the same as on the admin port.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use tidegate_inference::Admission;

use crate::Ingress;
use crate::failure::Failure;
use crate::reply::{self, Reply, ReplyBody};
use crate::status::Contract;

impl<A: Admission> Ingress<A> {
    /// Written aside: with many models it is work for milliseconds, and it must not be done any number of times at
    /// once because somebody asks that often.
    pub(crate) async fn metrics(&self) -> Reply<A::Admitted> {
        if !self.config.metrics {
            return reply::error(Contract::Plain, StatusCode::NOT_FOUND, "Not Found");
        }
        let telemetry = Arc::clone(&self.telemetry);
        match self.pool.run_aside(move || telemetry.encode()).await {
            Ok(page) => {
                let mut reply = http::Response::new(ReplyBody::of(page.into()));
                let content_type = HeaderValue::from_static(tidegate_telemetry::CONTENT_TYPE);
                reply.headers_mut().insert(CONTENT_TYPE, content_type);
                reply
            }
            Err(error) => reply::failure(Contract::Plain, Failure::of(Contract::Plain, error)),
        }
    }
}
