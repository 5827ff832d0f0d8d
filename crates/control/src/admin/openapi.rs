//! `GET /openapi.json`: what this port answers, for programs that read such documents. Written by hand; a test
//! holds it against the table of paths and against what the paths answer.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

pub const DOCUMENT: &str = include_str!("../../../../docs/openapi/admin.json");

pub async fn show() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}
