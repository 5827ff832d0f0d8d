//! TensorFlow Serving's REST API: `:predict` in row and column form, model status and metadata.
//!
//! The format names neither datatypes nor shapes, so requests are decoded against the signature of
//! the version that will run them. Paths and status codes are the caller's. A model has the one signature
//! `serving_default`.

pub(crate) mod client;
mod forms;
mod metadata;
mod request;
mod response;
pub(crate) mod status;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::PrettyFormatter;

use crate::role::Role;

pub use client::{decode_metadata, decode_response, encode_request, request_rows};
pub use metadata::model_metadata;
pub use request::{PredictRequest, decode_predict};
pub use response::{encode_predict, error_body};
pub use status::model_status;

/// As TensorFlow Serving prints its messages: one space a level.
fn pretty(message: &impl Serialize) -> Bytes {
    let mut text = Vec::new();
    let indent = PrettyFormatter::with_indent(b" ");
    message
        .serialize(&mut Serializer::with_formatter(&mut text, indent))
        .expect("strings and lists always serialise into memory");
    text.into()
}

/// The name of the only signature; it may be left out or empty.
pub(crate) const SIGNATURE_NAME: &str = "serving_default";

/// How inputs were given, hence how outputs are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `instances` and `predictions`: a list of rows.
    Row,
    /// `inputs` and `outputs`: whole tensors.
    Column,
}

impl Form {
    /// The member of a body that holds the tensors.
    fn key(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::Row, Role::Input) => "instances",
            (Self::Row, Role::Output) => "predictions",
            (Self::Column, Role::Input) => "inputs",
            (Self::Column, Role::Output) => "outputs",
        }
    }
}
