//! The admin API: JSON over HTTP on its own port, for operators, probes and scrapers. All models and
//! their states, weights, labels; loading and unloading; `/livez`, `/readyz`, `/metrics`.
//!
//! Without API keys whoever reaches the port may move traffic and unload models, so it listens on the loopback address
//! unless told otherwise, and a browser page from elsewhere is turned away. With keys, changes are logged with the name
//! of the key that asked for them.

mod body;
mod connections;
mod document;
mod health;
mod keys;
mod management;
mod models;
mod openapi;
mod origin;
mod refusal;
#[cfg(test)]
mod tests;
mod traffic;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::http::{Method, Uri};
use axum::routing::{MethodRouter, get, post, put};
use axum::{Json, Router, middleware};
use serde_json::{Map, Value, json};
use tidegate_credentials::Door;
use tidegate_telemetry::Telemetry;
use tokio::net::TcpListener;

use crate::ControlPlane;
use refusal::Refusal;

pub struct AdminServer {
    state: AdminState,
    /// Where callers need a key.
    door: Option<Door>,
}

type Readiness = Arc<dyn Fn() -> Option<String> + Send + Sync>;

#[derive(Clone)]
struct AdminState {
    control: Arc<ControlPlane>,
    telemetry: Arc<Telemetry>,
    readiness: Readiness,
}

impl AdminServer {
    /// `readiness` is asked at each `/readyz`: why no traffic is taken, if none is.
    pub fn new(
        control: Arc<ControlPlane>,
        telemetry: Arc<Telemetry>,
        readiness: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let state = AdminState { control, telemetry, readiness: Arc::new(readiness) };
        Self { state, door: None }
    }

    /// Callers need a key, if there is a door.
    #[must_use]
    pub fn behind(self, door: Option<Door>) -> Self {
        Self { door, ..self }
    }

    /// Serves until `shutdown` is ready, and then until the requests inside are answered, or five
    /// seconds at most.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        connections::serve(listener, routes(self.state, self.door), shutdown).await;
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer").finish_non_exhaustive()
    }
}

fn routes(state: AdminState, door: Option<Door>) -> Router {
    paths()
        .into_iter()
        .fold(Router::new(), |router, (path, _, methods)| router.route(path, methods))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(origin::check))
        .layer(middleware::from_fn_with_state(door, keys::check))
        .with_state(state)
}

/// Every path, what `GET /` says of it, and who answers.
fn paths() -> [(&'static str, &'static str, MethodRouter<AdminState>); 11] {
    [
        ("/", "GET: this list", get(index)),
        ("/livez", "GET: the process is up", get(health::live)),
        ("/readyz", "GET: 200 when it takes traffic, else 503", get(health::ready)),
        ("/metrics", "GET: Prometheus text", get(health::metrics)),
        ("/openapi.json", "GET: all this for programs", get(openapi::show)),
        ("/admin/v1/models", "GET: models, versions, states", get(models::list)),
        ("/admin/v1/models/{model}", "GET", get(models::show)),
        (
            "/admin/v1/models/{model}/load",
            "POST: looks into the repository again and loads what is there",
            post(management::load),
        ),
        ("/admin/v1/models/{model}/unload", "POST", post(management::unload)),
        (
            "/admin/v1/models/{model}/weights",
            "GET, PUT {\"weights\": {\"blue\": 90, \"2\": 10}}",
            get(traffic::weights).put(traffic::set_weights),
        ),
        (
            "/admin/v1/models/{model}/labels/{label}",
            "PUT {\"version\": 2}, DELETE",
            put(traffic::set_label).delete(traffic::remove_label),
        ),
    ]
}

async fn index() -> Json<Value> {
    let paths: Map<_, _> =
        paths().into_iter().map(|(path, says, _)| (path.to_owned(), says.into())).collect();
    Json(json!({ "name": "tidegate admin API", "paths": paths }))
}

async fn unknown_path(uri: Uri) -> Refusal {
    Refusal::not_found(format!("unknown path {}, GET / lists the paths", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::wrong_method(format!("{method} is not offered on {}", uri.path()))
}
