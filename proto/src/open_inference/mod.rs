//! Open Inference Protocol v2 over REST, with Triton's binary tensor extension both ways.
//!
//! A request names datatypes and shapes itself, so it is decoded without the model; whether it fits
//! the model is for [`Signature::arrange`] to say. Binary inputs are windows into the body, binary
//! outputs windows into the model's answer: neither is copied. The other side of the conversation, requests
//! written and answers read, is in [`encode_request`] and [`decode_response`].
//!
//! [`Signature::arrange`]: tidegate_inference::Signature::arrange

pub(crate) mod binary;
mod classification;
pub(crate) mod client;
mod duration;
mod head;
mod metadata;
mod model_config;
mod parameters;
mod reply;
mod repository;
mod request;
mod response;
mod settings;
mod shared_memory;
mod statistics;

pub use binary::{HeaderLength, JSON_LENGTH_HEADER};
pub use client::{
    ModelMetadata, answering_version, decode_metadata, decode_response, decode_statistics,
    encode_request,
};
pub(crate) use metadata::dim_size;
pub use metadata::{
    error_body, live, model_list, model_metadata, model_ready, ready, server_metadata,
};
pub use model_config::model_config;
pub use reply::{Reply, RequestedOutput};
pub use repository::{decode_index, decode_load, decode_unload, index, index_entries};
pub use request::{InferRequest, decode_infer};
pub(crate) use response::classified;
pub use response::{Encoded, encode_infer};
pub use settings::{
    LOG_FORMAT, LogSettings, TRACE_SETTINGS, check_trace_setting, decode_log_settings,
    decode_trace_settings, log_settings, trace_settings,
};
pub use shared_memory::{SharedRegion, decode_registration, memory_status};
pub use statistics::encode_statistics;
