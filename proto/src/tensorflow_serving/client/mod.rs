//! The client's side of TensorFlow Serving's REST API: requests written, answers and metadata read.

pub(crate) mod metadata;
mod request;
mod response;
mod rows;

pub use metadata::decode_metadata;
pub use request::encode_request;
pub use response::decode_response;
pub use rows::request_rows;
