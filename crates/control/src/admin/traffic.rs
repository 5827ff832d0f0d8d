//! Weights and labels: read them, replace them.
//!
//! A change waits for the disk, so it runs on a thread that may block. Should its caller hang up in
//! the meantime, it is carried out all the same.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::response::Response;
use serde::Deserialize;
use tidegate_inference::{Label, Version};

use super::AdminState;
use super::body::Body;
use super::document;
use super::keys::By;
use super::refusal::Refusal;
use crate::{ChangeError, IfMatch, ModelView, WeightsRequest};

pub async fn weights(
    State(AdminState { control, .. }): State<AdminState>,
    model: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(model) = model?;
    let view = control.view(&model).ok_or_else(|| control.no_such_model(&model))?;
    Ok(weights_answer(&view))
}

pub async fn set_weights(
    State(AdminState { control, .. }): State<AdminState>,
    By(by): By,
    model: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Refusal> {
    let Path(model) = model?;
    let condition = condition(&headers)?;
    let request = WeightsRequest::from_json(&body).map_err(Refusal::invalid)?;
    let change = move || control.set_weights(&model, &request, &condition, &by);
    Ok(weights_answer(&carried_out(change).await?))
}

pub async fn set_label(
    State(AdminState { control, .. }): State<AdminState>,
    By(by): By,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Refusal> {
    let Path((model, label)) = path?;
    let condition = condition(&headers)?;
    let label = Label::new(&label).map_err(|error| Refusal::invalid(error.message()))?;
    let version = version_in(&body)?;
    let change = move || control.set_label(&model, label, version, &condition, &by);
    Ok(labels_answer(&carried_out(change).await?))
}

pub async fn remove_label(
    State(AdminState { control, .. }): State<AdminState>,
    By(by): By,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path((model, label)) = path?;
    let condition = condition(&headers)?;
    let change = move || control.remove_label(&model, &label, &condition, &by);
    Ok(labels_answer(&carried_out(change).await?))
}

async fn carried_out(
    change: impl FnOnce() -> Result<ModelView, ChangeError> + Send + 'static,
) -> Result<ModelView, Refusal> {
    tokio::task::spawn_blocking(change)
        .await
        .map_err(|error| Refusal::internal(format!("the change was not finished: {error}")))?
        .map_err(Refusal::from)
}

fn weights_answer(view: &ModelView) -> Response {
    document::tagged(&view.etag, document::weights(view))
}

fn labels_answer(view: &ModelView) -> Response {
    document::tagged(&view.etag, document::labels(view))
}

/// Several fields mean one list (RFC 9110, section 5.3).
fn condition(headers: &HeaderMap) -> Result<IfMatch, Refusal> {
    let fields: Vec<_> = headers
        .get_all(IF_MATCH)
        .iter()
        .map(|field| String::from_utf8_lossy(field.as_bytes()))
        .collect();
    if fields.is_empty() {
        return Ok(IfMatch::Any);
    }
    IfMatch::parse(&fields.join(",")).map_err(Refusal::invalid)
}

fn version_in(body: &[u8]) -> Result<Version, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        version: u64,
    }
    let expected = "expected {\"version\": <positive integer>}";
    let Document { version } = serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid(format!("{expected}: {error}")))?;
    Version::new(version).ok_or_else(|| Refusal::invalid(format!("{expected}, got {version}")))
}
