//! `GET /admin/v1/models` and `GET /admin/v1/models/{model}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::AdminState;
use super::document;
use super::refusal::Refusal;

pub async fn list(State(AdminState { control, .. }): State<AdminState>) -> Json<Value> {
    let models: Vec<Value> = control.views().iter().map(document::model).collect();
    Json(json!({ "models": models }))
}

pub async fn show(
    State(AdminState { control, .. }): State<AdminState>,
    model: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(model) = model?;
    let view = control.view(&model).ok_or_else(|| control.no_such_model(&model))?;
    Ok(document::tagged(&view.etag, document::model(&view)))
}
