//! The client's side of TensorFlow Serving's REST API: requests written, answers and metadata read.

mod metadata;
mod request;
mod response;

pub use metadata::decode_metadata;
pub use request::encode_request;
pub use response::decode_response;
