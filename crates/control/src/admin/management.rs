//! `POST .../load` and `POST .../unload`: answered with the model when that is done, which may take long.
//! Should the caller hang up in the meantime, it is carried out all the same.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use tidegate_inference::{LoadRequest, Management};
use tracing::info;

use super::AdminState;
use super::document;
use super::keys::By;
use super::refusal::Refusal;
use crate::ControlPlane;

pub async fn load(
    State(AdminState { control, .. }): State<AdminState>,
    By(by): By,
    model: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(model) = model?;
    info!(by, what = format!("load of {model:.64}"), "a change was asked for");
    control.load(model.clone(), LoadRequest::default()).await?;
    answer(&control, &model)
}

pub async fn unload(
    State(AdminState { control, .. }): State<AdminState>,
    By(by): By,
    model: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(model) = model?;
    info!(by, what = format!("unload of {model:.64}"), "a change was asked for");
    control.unload(model.clone()).await?;
    answer(&control, &model)
}

fn answer(control: &ControlPlane, model: &str) -> Result<Response, Refusal> {
    let view = control.view(model).ok_or_else(|| control.no_such_model(model))?;
    Ok(document::tagged(&view.etag, document::model(&view)))
}
