//! Reads the body of a change: small, and soon.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};

use super::refusal::Refusal;

/// Weights of thousands of versions fit.
pub const MAX_BYTES: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Refusal> {
        DefaultBodyLimit::max(MAX_BYTES).apply(&mut request);
        match tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await {
            Ok(bytes) => Ok(Self(bytes?)),
            Err(_) => Err(Refusal::too_slow("the request's body did not arrive within 10 seconds")),
        }
    }
}
