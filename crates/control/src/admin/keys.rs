//! Asks for an API key, where the port wants one. What is not listed here as open needs one, so a path that is added
//! is guarded before anybody thinks of it.

use std::net::SocketAddr;

use axum::extract::rejection::ExtensionRejection;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tidegate_credentials::{Caller, Door, Refused, Scope};

use super::refusal::Refusal;

pub async fn check(State(door): State<Option<Door>>, mut request: Request, next: Next) -> Response {
    if let (Some(door), Some(scope)) = (&door, scope_of(request.uri().path())) {
        match door.check(request.headers(), scope) {
            Ok(Some(caller)) => drop(request.extensions_mut().insert(caller)),
            Ok(None) => {}
            Err(Refused { error, .. }) => return Refusal::from(error).into_response(),
        }
    }
    next.run(request).await
}

/// `None` where anybody may ask. Paths are compared as they were sent: one that is spelled otherwise is guarded.
fn scope_of(path: &str) -> Option<Scope> {
    match path {
        "/" | "/livez" | "/readyz" | "/openapi.json" => None,
        "/metrics" => Some(Scope::Metrics),
        _ => Some(Scope::Admin),
    }
}

/// Who asks for a change, for the log: address and port, behind the name of the key if there was one.
pub struct By(pub String);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ExtensionRejection> {
        let ConnectInfo(peer) = ConnectInfo::<SocketAddr>::from_request_parts(parts, state).await?;
        Ok(Self(match parts.extensions.get::<Caller>() {
            Some(caller) => format!("{} ({peer})", caller.name()),
            None => peer.to_string(),
        }))
    }
}
