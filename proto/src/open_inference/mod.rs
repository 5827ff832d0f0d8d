//! Open Inference Protocol v2 over REST, with Triton's binary tensor extension both ways.
//!
//! A request names datatypes and shapes itself, so it is decoded without the model; whether it fits
//! the model is for [`Signature::arrange`] to say. Binary inputs are windows into the body, binary
//! outputs windows into the model's answer: neither is copied.
//!
//! [`Signature::arrange`]: tidegate_inference::Signature::arrange

mod binary;
mod classification;
mod input;
mod metadata;
mod parameters;
mod reply;
mod request;
mod response;

pub use binary::{HeaderLength, JSON_LENGTH_HEADER};
pub use metadata::{
    error_body, live, model_list, model_metadata, model_ready, ready, server_metadata,
};
pub use reply::{Reply, RequestedOutput};
pub use request::{InferRequest, decode_infer};
pub use response::{Encoded, encode_infer};
