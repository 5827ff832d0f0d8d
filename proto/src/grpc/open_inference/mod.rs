//! Open Inference Protocol v2 over gRPC, in Tidegate's words and back.
//!
//! Requests and answers have one shape: tensors described in a list, their values raw in another, or typed
//! beside the description. We write raw values and read both.

pub(super) mod contents;
mod metadata;
pub(crate) mod model_config;
mod parameters;
mod request;
mod response;
mod statistics;

pub use metadata::{decode_metadata, encode_metadata};
pub use model_config::encode_model_config;
pub use request::{decode_infer, encode_request};
pub use response::{Within, decode_response, encode_infer, encode_response};
pub use statistics::{decode_statistics, encode_statistics};
