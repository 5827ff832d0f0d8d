//! `GET /openapi.json`: what this port answers over HTTP, for programs that read such documents. It is written by
//! hand, because what a path can answer stands in no one place of the code; the tests hold it against the router,
//! in both directions.

use bytes::Bytes;
use http::StatusCode;
use tidegate_inference::Admission;

use crate::Ingress;
use crate::reply::{self, Reply};

const DOCUMENT: &str = include_str!("../../../docs/openapi/data.json");

impl<A: Admission> Ingress<A> {
    pub(crate) fn openapi(&self) -> Reply<A::Admitted> {
        reply::json(StatusCode::OK, Bytes::from_static(DOCUMENT.as_bytes()))
    }
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
