//! The admin API: JSON over HTTP on its own port, for operators, probes and scrapers. All models and
//! their states, weights, labels; loading and unloading; `/livez`, `/readyz`, `/metrics`.
//!
//! There are no credentials here: whoever reaches the port may move traffic and unload models, so it listens on the
//! loopback address unless told otherwise, and a browser page from elsewhere is turned away.

mod body;
mod connections;
mod document;
mod health;
mod management;
mod models;
mod origin;
mod refusal;
#[cfg(test)]
mod tests;
mod traffic;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::http::{Method, Uri};
use axum::routing::{get, post, put};
use axum::{Json, Router, middleware};
use serde_json::{Value, json};
use tidegate_telemetry::Telemetry;
use tokio::net::TcpListener;

use crate::ControlPlane;
use refusal::Refusal;

pub struct AdminServer {
    state: AdminState,
}

#[derive(Clone)]
struct AdminState {
    control: Arc<ControlPlane>,
    telemetry: Arc<Telemetry>,
    readiness: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl AdminServer {
    /// `readiness` is asked at each `/readyz`.
    pub fn new(
        control: Arc<ControlPlane>,
        telemetry: Arc<Telemetry>,
        readiness: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { state: AdminState { control, telemetry, readiness: Arc::new(readiness) } }
    }

    /// Serves until `shutdown` is ready, and then until the requests inside are answered, or five
    /// seconds at most.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        connections::serve(listener, routes(self.state), shutdown).await;
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer").finish_non_exhaustive()
    }
}

fn routes(state: AdminState) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/admin/v1/models", get(models::list))
        .route("/admin/v1/models/{model}", get(models::show))
        .route("/admin/v1/models/{model}/load", post(management::load))
        .route("/admin/v1/models/{model}/unload", post(management::unload))
        .route("/admin/v1/models/{model}/weights", get(traffic::weights).put(traffic::set_weights))
        .route(
            "/admin/v1/models/{model}/labels/{label}",
            put(traffic::set_label).delete(traffic::remove_label),
        )
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(origin::check))
        .with_state(state)
}

async fn index() -> Json<Value> {
    Json(json!({
        "name": "tidegate admin API",
        "paths": {
            "/livez": "GET: the process is up",
            "/readyz": "GET: 200 when it takes traffic, else 503",
            "/metrics": "GET: Prometheus text",
            "/admin/v1/models": "GET: models, versions, states",
            "/admin/v1/models/{model}": "GET",
            "/admin/v1/models/{model}/load": "POST: looks into the repository again and loads what is there",
            "/admin/v1/models/{model}/unload": "POST",
            "/admin/v1/models/{model}/weights": "GET, PUT {\"weights\": {\"blue\": 90, \"2\": 10}}",
            "/admin/v1/models/{model}/labels/{label}": "PUT {\"version\": 2}, DELETE",
        },
    }))
}

async fn unknown_path(uri: Uri) -> Refusal {
    Refusal::not_found(format!("unknown path {}, GET / lists the paths", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::wrong_method(format!("{method} is not offered on {}", uri.path()))
}
